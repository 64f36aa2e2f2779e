"""The checks of a cleanse write what the contract names, from what lies in a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from flows.tasks.checks import fingerprint, residual
from pipeline.artifacts import read_json, read_parquet, write_parquet
from pipeline.cleanse import Plan, PlanLine
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, derive_version, write_version
from pipeline.flag.detect_dataset import REGION_COLUMNS

SIZE, COUNT = 64, 12
MARK = {"kind": "side", "text": "L", "x0": 8.0, "y0": 8.0, "x1": 20.0, "y1": 20.0, "detector": "x", "confidence": 0.9}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a plan and regions beside a raw and a cleansed version."""
    table = pd.DataFrame({name: [None] * COUNT for name in IMAGE_COLUMNS})
    table = table.assign(
        image_id=[f"id{number:02d}" for number in range(COUNT)], label=["a", "b"] * (COUNT // 2), path="x.png",
        split="train", width=SIZE, height=SIZE, scale=1.0, pad_x=0.0, pad_y=0.0,
    )  # fmt: skip
    pixels = np.random.default_rng(0).integers(100, 150, (COUNT, SIZE, SIZE)).astype(np.uint8)
    with write_version(tmp_path / "raw", SIZE, "uint8") as writer:
        writer.write_shard(0, table, pixels)
        writer.finish(DatasetMeta("study", "raw", "A study", ("a", "b"), "b", SIZE, "uint8"), table, 1)

    def edit(_table: pd.DataFrame, images: Tensor) -> Tensor:
        edited = images.clone()
        edited[:6, 0, 8:20, 8:20] = torch.rand(12, 12, generator=torch.Generator().manual_seed(0))
        return edited

    raw = DatasetVersion(tmp_path / "raw")
    derive_version(raw, tmp_path / "cleansed", np.arange(COUNT), edit, "cleansed", {})
    run = tmp_path / "run"
    line = PlanLine(finding="F1", kind="side", decided_by="ann")
    Plan(dataset="raw", fill="mean", dilation=0.0, lines=(line,)).write(run / "plan.yaml")
    write_parquet(run / "regions_planned.parquet", regions(range(6)))
    return run


def regions(numbers: range) -> pd.DataFrame:
    rows = [{"region_id": f"r{number}", "image_id": f"id{number:02d}", **MARK} for number in numbers]
    return pd.DataFrame(rows, columns=list(REGION_COLUMNS)).astype(REGION_COLUMNS)


def test_the_fingerprint_is_written(run: Path) -> None:
    fingerprint.fn(run, run.parent / "raw", run.parent / "cleansed", 0)
    result = read_json(run / "fingerprint.json")
    assert set(result) == {"trace", "classes", "verdict", "words"}
    assert (result["verdict"], result["classes"]["images"]) == ("undecided", COUNT)
    assert "Too few patients" in result["words"][0]


def test_detectors_look_again_where_something_was_filled(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def finds_two(dataset: DatasetVersion, out: Path, **options: Any) -> pd.DataFrame:
        asked.append((dataset.meta.version, options["rows"].tolist()))
        write_parquet(out, regions(range(2)))
        return regions(range(2))

    monkeypatch.setattr("pipeline.flag.detect_dataset", finds_two)
    residual.fn(run, run.parent / "raw", run.parent / "cleansed", 0)
    assert asked == [("cleansed", list(range(6)))]
    result, left = read_json(run / "residual.json"), read_parquet(run / "residual.parquet")
    assert (result["checked_images"], result["filled_regions"], result["still_found"]) == (6, 6, 2)
    assert result["by_kind"] == {"side": 2}
    assert left["image_id"].to_list() == ["id00", "id01"]
    names = sorted(path.name for path in run.glob("re*"))
    assert names == ["regions_planned.parquet", "residual.json", "residual.parquet"]
