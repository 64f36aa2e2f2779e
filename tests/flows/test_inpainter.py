"""`cxr-audit train-inpainter` and the stage beside it, on a tiny data set of grain."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from flows.cli import inpainter
from flows.tasks.inpainter import inpainter_path, train_inpainter
from flows.workspace import Workspace
from models.inpainters import load_inpainter
from pipeline.artifacts import write_json, write_parquet
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, write_version
from pipeline.errors import InputError

SIZE, COUNT = 64, 8


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a dataset version, grain/v1, and regions.parquet beside it."""
    monkeypatch.setattr("pipeline.train.inpainter_examples.PIXELS", 2 * SIZE**2)
    names = [f"id{number}" for number in range(COUNT)]
    table = pd.DataFrame({name: [None] * COUNT for name in IMAGE_COLUMNS}).assign(
        image_id=names, label="a", split="train", source=["here", "there"] * (COUNT // 2),
        width=SIZE, height=SIZE, scale=1.0, pad_x=0.0, pad_y=0.0,
    )  # fmt: skip
    pixels = np.random.default_rng(0).integers(90, 160, (COUNT, SIZE, SIZE)).astype(np.uint8)
    with write_version(tmp_path / "grain" / "v1", SIZE, "uint8") as writer:
        writer.write_shard(0, table, pixels)
        writer.finish(DatasetMeta("grain", "v1", "Grain", ("a", "b"), "b", SIZE, "uint8"), table, 1)
        write_json(writer.folder / "lineage.json", {})
    marks = pd.DataFrame({"image_id": names[:2], "kind": "side", "x0": 2.0, "y0": 2.0, "x1": 12.0, "y1": 12.0})
    write_parquet(tmp_path / "regions.parquet", marks)
    return tmp_path


def run(study: Path, *options: str) -> tuple[int, str, BaseException | None]:
    app = typer.Typer()
    inpainter.register(app)
    paths = [study / "grain" / "v1", "--regions", study / "regions.parquet", "--out", study / "out"]
    done = CliRunner().invoke(app, [*map(str, paths), "--steps", "2", "--device", "cpu", *options])
    return done.exit_code, done.stdout, done.exception


def test_the_command_leaves_a_bundle(study: Path) -> None:
    code, said, error = run(study, "--source", "here", "--fresh", "--json")
    assert code == 0, error
    assert json.loads(said)["images"] == COUNT // 2
    assert not load_inpainter(study / "out").training
    assert "here (4)" in (study / "out" / "docs" / "README.md").read_text()
    _, _, again = run(study)
    assert isinstance(again, InputError)
    assert "exists already" in str(again)


def test_options_that_contradict_each_other(study: Path) -> None:
    _, _, error = run(study, "--fresh", "--start", str(study))
    assert isinstance(error, InputError)
    assert "Give one of them" in str(error)


def test_the_stage_makes_one_bundle_for_each_request(study: Path) -> None:
    workspace, version, regions = Workspace(study / "workspace"), study / "grain" / "v1", study / "regions.parquet"
    bundle = train_inpainter.fn(workspace, version, regions, 1, 0, "cpu")
    assert bundle == inpainter_path(workspace, version, regions, 1, 0)
    assert bundle.parent == workspace.models / "grain-inpainter"
    written = (bundle / "models" / "model.pt").stat().st_mtime_ns
    assert train_inpainter.fn(workspace, version, regions, 1, 0, "cpu") == bundle
    assert (bundle / "models" / "model.pt").stat().st_mtime_ns == written
    assert inpainter_path(workspace, version, regions, 2, 0) != bundle
    write_parquet(regions, pd.read_parquet(regions).iloc[:1])
    assert inpainter_path(workspace, version, regions, 1, 0) != bundle
