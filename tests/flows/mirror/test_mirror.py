"""What one machine keeps, another one has: whole, verified, or not at all. Over three kinds of store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.artifacts import RunFolder, sha256_tree, write_json
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.errors import IntegrityError

MODEL, DATASET, RUN = "models/net/0a1b", "datasets/demo/2c3d", "runs/4e5f"


def make_model(root: Path) -> Path:
    folder = root / MODEL
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "model.pt").write_bytes(b"weights" * 1000)
    (folder / "igos++.json").write_text("{}")
    return folder


def make_dataset(root: Path, images: int = 600) -> Path:
    """600 images of 8 x 8 in 3 shards; every image is its own number."""
    target = root / DATASET
    numbers = np.arange(images)
    with write_version(target, 8, "uint16") as writer:
        for shard, start in enumerate(range(0, images, 256)):
            block = numbers[start : start + 256]
            table = pd.DataFrame({"image_id": block.astype(str)}).reindex(columns=list(IMAGE_COLUMNS))
            writer.write_shard(shard, table, np.broadcast_to(block[:, None, None] + 1, (len(block), 8, 8)).astype("u2"))
        table = pd.DataFrame({"image_id": numbers.astype(str)}).reindex(columns=list(IMAGE_COLUMNS))
        meta = DatasetMeta("demo", "2c3d", "Demo", ("a", "b"), "b", 8, "uint16")
        writer.finish(meta, table, 3)
    return target


def test_an_immutable_folder_is_the_same_on_another_machine(url, machine):
    one = machine("one", url)
    here = make_model(one.root)
    one.keep(here)
    two = machine("two", url)
    assert two.bring(two.root / MODEL)
    assert sha256_tree(two.root / MODEL) == sha256_tree(here)
    assert not two.bring(two.root / "models/net/ffff")
    assert one.remote.names(MODEL) == [f"{MODEL}/igos++.json", f"{MODEL}/models/model.pt"]


def test_without_an_index_nothing_is_there_and_leftovers_are_overwritten(url, machine):
    one, two = machine("one", url), machine("two", url)
    one.remote.write(f"{MODEL}/models/model.pt", b"half")
    assert not two.bring(two.root / MODEL)
    one.keep(make_model(one.root))
    assert two.bring(two.root / MODEL)
    assert (two.root / MODEL / "models/model.pt").read_bytes() == b"weights" * 1000


def test_a_damaged_object_is_refused_and_what_to_do_is_said(url, machine):
    one, two = machine("one", url), machine("two", url)
    one.keep(make_model(one.root))
    one.remote.write(f"{MODEL}/models/model.pt", b"WEIGHTS" * 1000)
    with pytest.raises(IntegrityError, match=r"model\.pt is not what was kept.*\.index/models/net/0a1b\.json"):
        two.bring(two.root / MODEL)
    assert not (two.root / MODEL).exists()
    one.remote.remove([f"{MODEL}/models/model.pt"])
    with pytest.raises(IntegrityError, match="missing"):
        two.bring(two.root / MODEL)
    one.remote.remove([f".index/{MODEL}.json"])
    two.keep(make_model(two.root))
    three = machine("three", url)
    assert three.bring(three.root / MODEL)


def test_a_file_that_arrives_damaged_once_is_fetched_again(url, machine, monkeypatch):
    one, two = machine("one", url), machine("two", url)
    one.keep(make_model(one.root))
    get, calls = two.remote.get, []

    def flaky(files):
        get(files)
        if not calls:
            files[0][1].write_bytes(b"torn")
        calls.append(files)

    monkeypatch.setattr(two.remote, "get", flaky)
    assert two.bring(two.root / MODEL)
    assert len(calls) == 2


def test_pixels_come_shard_by_shard_when_they_are_read(url, machine):
    one, two = machine("one", url), machine("two", url)
    one.keep(make_dataset(one.root))
    data = DatasetVersion(two.root / DATASET)  # brings all but pixels
    shards = two.root / DATASET / "pixels.zarr" / "c"
    assert not shards.exists()
    assert data.pixels([300])[0, 0, 0] == 301
    assert [path.name for path in shards.iterdir()] == ["1"]
    assert data.pixels([0, 599])[:, 0, 0].tolist() == [1, 600]
    assert sha256_tree(two.root / DATASET) == sha256_tree(one.root / DATASET)


def test_a_shard_that_is_nowhere_is_an_error_not_black_images(url, machine):
    one, two = machine("one", url), machine("two", url)
    one.keep(make_dataset(one.root))
    data = DatasetVersion(two.root / DATASET)
    one.remote.remove([f"{DATASET}/pixels.zarr/c/1/0/0"])
    assert data.pixels([0])[0, 0, 0] == 1
    with pytest.raises(IntegrityError, match=r"c/1/0/0 is missing"):
        data.pixels([300])


def run_with(root: Path, **artifacts: str) -> RunFolder:
    folder = RunFolder(root / RUN, {"dataset": "demo/2c3d"})
    for name, text in artifacts.items():
        (root / RUN / name).write_text(text)
        folder.record(name, text)
    return folder


def test_a_run_goes_on_from_another_machine(url, machine):
    one, two = machine("one", url), machine("two", url)
    run_with(one.root, predictions="p", regions="r")
    one.keep(one.root / RUN)
    assert two.bring(two.root / RUN)
    there = RunFolder(two.root / RUN, {"dataset": "demo/2c3d"})
    assert there.has("predictions", "p")
    assert there.has("regions", "r")
    run_with(two.root, regions="other", findings="f")
    two.keep(two.root / RUN)
    one.bring(one.root / RUN)
    back = RunFolder(one.root / RUN, {"dataset": "demo/2c3d"})
    assert all(back.has(name, key) for name, key in {"predictions": "p", "regions": "other", "findings": "f"}.items())
    assert (one.root / RUN / "run.json").read_bytes() == (two.root / RUN / "run.json").read_bytes()


@pytest.mark.parametrize("dies_at", range(6))
def test_at_any_moment_of_keeping_a_run_what_is_listed_is_whole(tmp_path, machine, monkeypatch, dies_at):
    url = f"file://{tmp_path}/store"
    one = machine("one", url)
    run_with(one.root, predictions="p", regions="r")
    one.keep(one.root / RUN)
    run_with(one.root, regions="R", findings="f")
    (one.root / RUN / "predictions").unlink()
    left = [dies_at]

    def dying(method):
        def call(*given):
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return method(*given)

        return call

    for name in ("put", "write", "remove"):
        monkeypatch.setattr(one.remote, name, dying(getattr(one.remote, name)))
    finished = False
    try:
        one.keep(one.root / RUN)
        finished = True
    except KeyboardInterrupt:
        pass
    two = machine("two", url)
    assert two.bring(two.root / RUN)  # verified while it is brought
    there = RunFolder(two.root / RUN, {"dataset": "demo/2c3d"})
    assert there.has("regions", "R") or not there.has("findings", "f")
    assert finished == (dies_at == 5)


def test_what_is_only_here_stays_when_a_run_is_brought(url, machine):
    one, two = machine("one", url), machine("two", url)
    run_with(one.root, predictions="p")
    one.keep(one.root / RUN)
    run_with(two.root, regions="r")
    two.bring(two.root / RUN)
    there = RunFolder(two.root / RUN, {"dataset": "demo/2c3d"})
    assert there.has("predictions", "p")
    assert there.has("regions", "r")


def test_work_at_hand_locks_and_caches_stay_here(url, machine):
    one = machine("one", url)
    run_with(one.root, predictions="p")
    for name in ("regions.parquet.partial/0/1.parquet", ".x.1.partial", "saliency.damaged-1/a"):
        path = one.root / RUN / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    write_json(one.root / "cache" / "x.json", {})
    for path in (one.root / RUN, one.root / "cache" / "x.json", one.root / "review.sqlite"):
        one.keep(path)
    kept = [name for name in one.remote.names("") if not name.startswith(".index")]
    assert sorted(kept) == [".cxr-audit.json", f"{RUN}/predictions", f"{RUN}/run.json"]
