"""Parts on machines that share no folder: every worker has a mirror of its own."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows.mirror.mirror import mirror_at
from flows.mirror.parts import Exchange, mirrored, moved
from flows.mirror.places import folder_of
from flows.mirror.remote import Remote
from flows.tasks.model import Training
from flows.workspace import Workspace
from pipeline.config import TrainConfig
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.elsewhere import keep
from pipeline.flag.film.traits_dataset import traits_dataset
from pipeline.spread import do, here, undone


def workers(tmp_path, monkeypatch, names):
    """A `Spread` over processes that have no folder in common with this one."""

    def spread(parts):
        todo = undone(parts)
        for number, name in enumerate(names):
            monkeypatch.setenv("CXR_AUDIT_MIRROR", str(tmp_path / name))
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                for done in [pool.submit(do, part) for part in todo[number :: len(names)]]:
                    done.result()
                    yield

    return spread


def dataset(root: Path) -> Path:
    """70 noisy images of 32 x 32 in one shard."""
    target = root / "datasets/demo/2c3d"
    generator = np.random.default_rng(0)
    with write_version(target, 32, "uint8") as writer:
        table = pd.DataFrame({"image_id": np.arange(70).astype(str)}).reindex(columns=list(IMAGE_COLUMNS))
        table = table.assign(scale=1.0, pad_x=0.0, pad_y=0.0, width=32, height=32)
        writer.write_shard(0, table, generator.integers(0, 255, (70, 32, 32), dtype=np.uint8))
        writer.finish(DatasetMeta("demo", "2c3d", "Demo", ("a", "b"), "b", 32, "uint8"), table, 1)
    return target


@pytest.mark.slow
@pytest.mark.parametrize("url", ["file", "s3"], indirect=True)
def test_workers_with_mirrors_of_their_own_give_the_same_table(url, tmp_path, monkeypatch):
    monkeypatch.setenv("CXR_AUDIT_MIRROR", str(tmp_path / "flow"))
    root = folder_of(url)
    data = DatasetVersion(dataset(root))
    expected = traits_dataset(data, tmp_path / "expected.parquet", spread=here)
    spread = mirrored(workers(tmp_path, monkeypatch, ["one", "two"]), root)
    found = traits_dataset(data, root / "runs/4e5f/traits.parquet", spread=spread)
    pd.testing.assert_frame_equal(found, expected)
    assert Remote(url).names(".parts") == [], "what workers hand over goes when it was taken"
    for name in ("one", "two"):
        assert len([*(tmp_path / name).rglob("*.parquet.partial/*/*.parquet")]) > 0, "its worker did nothing"
        assert [*(tmp_path / name).glob("*/datasets/demo/2c3d/pixels.zarr/c/0/0/0")], "its worker saw no pixels"


def test_a_worker_with_the_same_mirror_works_in_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CXR_AUDIT_MIRROR", str(tmp_path / "flow"))
    root = folder_of(f"file://{tmp_path}/store")
    data = DatasetVersion(dataset(root))
    keep(data.path)
    traits_dataset(data, root / "runs/4e5f/traits.parquet", spread=mirrored(here, root))
    assert not (tmp_path / "store" / ".parts" / "results").exists()


def test_what_was_offered_goes_and_that_of_another_flow_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("CXR_AUDIT_MIRROR", str(tmp_path / "flow"))
    root = folder_of(f"file://{tmp_path}/store")
    table = root / "runs/4e5f/regions.parquet"
    table.parent.mkdir(parents=True)
    table.write_bytes(b"regions")
    one, two = (Exchange(mirror_at(root), name) for name in ("one", "two"))
    assert one.offered([table]) == two.offered([table])
    one.withdraw()
    (offer,) = two.offered([table]).values()
    assert Remote(f"file://{tmp_path}/store").names(".parts") == [f".parts/objects/two/{offer.sha256}"]
    table.unlink()
    two.accept("runs/4e5f/regions.parquet", offer)
    assert table.read_bytes() == b"regions"


def test_a_workspace_that_is_no_mirror_is_spread_as_it_is(tmp_path):
    assert mirrored(here, tmp_path) is here


def test_paths_below_the_mirror_move_and_others_stay():
    one, two = Path("/one"), Path("/two")
    training = Training(Workspace(one), one / "datasets/demo/2c3d", TrainConfig(), 0, "cpu", "train")
    there = moved(training, one, two)
    assert (there.workspace, there.dataset) == (Workspace(two), two / "datasets/demo/2c3d")
    assert there.target == two / training.target.relative_to(one)
    assert moved((Path("/data/a"), one / "b", "c"), one, two) == (Path("/data/a"), two / "b", "c")
