"""A folder that grows twice, audited each time: only what is new is worked on, and the result is that of the whole."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from PIL import Image

from pipeline.artifacts import read_json, read_parquet
from pipeline.dataset import DatasetVersion
from pipeline.ingest.synthetic import PhantomSpec, generate

pytestmark = pytest.mark.slow

MANIFEST = """
name: growing
title: A growing folder
licence: Apache-2.0
classes: [clear, opacity]
positive: opacity
sources:
  - name: phantom
    layout: table
    table: images.csv
    columns: {path: path, label: label, source: source, patient_id: patient_id, view: view, SPLIT}
    roles: {phantom-b: other_source}
audit:
  ingest: {store_size: 96}
  train: {network: small, input_size: 64, epochs: 1, patience: 1, batch_size: 8, augment: false}
  explain: {images: 6, mask_size: 7, batch_size: 2, methods: [grad-cam, gradient]}
  flag: {images: 12, looked_at: 50, min_effect: 0.0, fdr: 0.5, transplants: 2, blackout_images: 20}
"""
DRIVER = """
import json, sys
from flows.audit import audit
from flows.request import AuditRequest
for request in json.load(sys.stdin):
    print(audit(AuditRequest(**request)).model_dump_json())
"""
PER_IMAGE = ("predictions.parquet", "regions.parquet", "traits.parquet", "saliency", "lungs")
CHANGED, GONE = "phantom-a/000003.png", "phantom-a/000006.png"


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folder on three nights: 36 + 8 images; 6 more, one changed and one removed; 4 more."""
    root = tmp_path_factory.mktemp("nights")
    spec = PhantomSpec(
        images=46, other_source_images=8, size=96, strength=1.0, mark="PORTABLE", format="png", honest_signal=0.2
    )
    made = generate(spec, root / "phantoms")
    with (made / "phantoms.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    folders = []
    for night, count in enumerate((36, 42, 46)):
        folder = root / str(night)
        chosen = rows[:count] + rows[46:]
        if night:
            chosen = [row for row in chosen if row["path"] != GONE]
        for row in chosen:
            (folder / row["path"]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made / row["path"], folder / row["path"])
        if night:
            Image.open(made / GONE).rotate(180).save(folder / CHANGED)
        write_table(folder, chosen)
        folders.append(folder)
    return folders


def write_table(folder: Path, rows: list[dict[str, Any]]) -> None:
    with (folder / "images.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, rows[0].keys())
        table.writeheader()
        table.writerows(rows)


def manifest(folder: Path, name: str, columns: str = "sex: sex") -> Path:
    path = folder / name
    path.write_text(MANIFEST.replace("SPLIT", columns))
    return path


def audited(environment: dict[str, str], *requests: dict[str, Any]) -> list[dict[str, Any]]:
    """Results of audits that are done one after the other by one process."""
    given = json.dumps([{"preset": "quick", "workers": 1, **request} for request in requests], default=str)
    done = subprocess.run(
        [sys.executable, "-c", DRIVER], env=environment, input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def killed_when(artifact: str, workspace: Path, ended: set[Path], command: list[str], environment: Any) -> None:
    """Run `command` and kill it once a run of `workspace` other than those that `ended` has `artifact`."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, start_new_session=True, **quiet)
    deadline = time.monotonic() + 240
    while not any((run / artifact).exists() for run in set(workspace.glob("runs/*")) - ended):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def bytes_of(workspace: Path) -> dict[str, str]:
    files = [p for part in ("datasets", "models", "runs", "history") for p in (workspace / part).rglob("*")]
    named = {str(p.relative_to(workspace)): p for p in files if p.is_file() and not p.name.endswith(".lock")}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in named.items()}


def dataset_of(run: Path) -> DatasetVersion:
    return DatasetVersion(run.parent.parent / "datasets" / read_json(run / "run.json")["request"]["dataset"])


def pinned(grown: DatasetVersion, folder: Path, to: Path) -> None:
    """A copy of `folder` whose table says which split every image is in."""
    shutil.copytree(folder, to)
    splits = dict(zip(grown.images["path"], grown.images["split"], strict=True))
    with (folder / "images.csv").open() as stream:
        write_table(to, [{**row, "split": splits[row["path"]]} for row in csv.DictReader(stream)])


def assert_same_artifacts(grown: Path, whole: Path) -> None:
    """Regions to the bit; what a network or BLAS computes in batches of another composition, to float noise."""
    for name in ("regions.parquet", "lookalikes.parquet", "association.parquet"):
        pd.testing.assert_frame_equal(read_parquet(grown / name), read_parquet(whole / name))
    tables = ["predictions.parquet", "traits.parquet", "effects.parquet", "lungs/lungs.parquet"]
    for name in (*tables, "saliency/grad-cam.parquet", "saliency/gradient.parquet"):
        columns = [name for name in read_parquet(whole / name) if name != "info"]
        one, other = read_parquet(grown / name)[columns], read_parquet(whole / name)[columns]
        pd.testing.assert_frame_equal(one, other, rtol=1e-3, atol=1e-5, obj=name)
    for name in ("saliency/grad-cam.zarr", "saliency/gradient.zarr", "lungs/masks.zarr"):
        one, other = (np.asarray(zarr.open_array(run / name, mode="r")[:], dtype=float) for run in (grown, whole))
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5, err_msg=name)
    one, other = (read_json(run / "findings.json")["findings"] for run in (grown, whole))
    assert [(each["kind"], each["status"]) for each in one] == [(each["kind"], each["status"]) for each in other]


def taken(grown: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {name: (each["taken_over"], each["computed"]) for name, each in grown["stages"].items()}


@pytest.mark.timeout(900)
def test_a_folder_that_grows(nights: list[Path], tmp_path: Path, prefect_environment: dict[str, str]) -> None:
    workspace, calm, other = (tmp_path / name for name in ("killed", "calm", "whole"))
    plain = manifest(tmp_path, "growing.yaml")
    request = {"manifest": plain, "workspace": workspace, "grow": True}
    first, second = audited(prefect_environment, *({**request, "data_root": night} for night in nights[:2]))

    # Night two: six images came, one changed, one went.
    one, two = Path(first["run"]), Path(second["run"])
    news = read_json(two / "grown.json")
    assert news["since"] == {"run": one.name, "dataset": dataset_of(one).meta.version}
    assert {name: news["images"][name] for name in ("new", "changed", "gone", "unchanged")} == {
        "new": 6,
        "changed": 1,
        "gone": 1,
        "unchanged": 42,
    }
    assert f"Since run {one.name}: 6 new images, 1 changed, 1 gone, 42 as they were." in second["words"]
    assert "What is new" in (two / "report.html").read_text()
    assert len(list(workspace.glob("models/*/*/models/model.pt"))) == 1, "the classifier is not trained again"
    before, now = (dataset_of(run).images.set_index("image_id")["split"].astype(str) for run in (one, two))
    both = now.index.intersection(before.index)
    pd.testing.assert_series_equal(now[both], before[both])
    counts = taken(news)
    assert counts["decoded files"] == counts["predictions.parquet"] == (42, 7)
    assert counts["regions.parquet"] == counts["traits.parquet"] == (42, 7)
    assert sum(counts["saliency"]) == 6
    assert counts["saliency"][0] >= 3, "a growing data set keeps most of its sample"
    assert counts["lungs"][0] > 2 * counts["lungs"][1]

    # Night three, undisturbed in one workspace; in the other it is killed where it explains, and run again.
    shutil.copytree(workspace, calm)
    night = {"data_root": nights[2]}
    audited(prefect_environment, {**request, **night, "workspace": calm})
    options = ["--data-root", str(nights[2]), "--workspace", str(workspace), "--preset", "quick", "--workers", "1"]
    command = [str(Path(sys.executable).parent / "cxr-audit"), "audit", str(plain), "--grow", *options]
    for artifact in ("grown.partial/regions.parquet.partial", "effects.parquet"):
        killed_when(artifact, workspace, {one, two}, command, prefect_environment)
    third, again = audited(prefect_environment, {**request, **night}, {**request, **night})
    assert bytes_of(workspace) == bytes_of(calm)

    # Nothing new: the same run, no work, said in words.
    assert (again["run"], again["worked"]) == (third["run"], 0)
    assert again["words"][0].startswith(f"Nothing new since run {Path(third['run']).name}")

    # The audit of the whole folder, with the same classifier and splits.
    three = Path(third["run"])
    pinned(dataset_of(three), nights[2], tmp_path / "pinned")
    model = next(workspace.glob("models/*/*"))
    whole = {"manifest": manifest(tmp_path, "pinned.yaml", "sex: sex, split: split"), "model": model}
    (all_anew,) = audited(prefect_environment, {**whole, "workspace": other, "data_root": tmp_path / "pinned"})
    assert_same_artifacts(three, Path(all_anew["run"]))
