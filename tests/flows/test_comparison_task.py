"""The comparison task asks every arm about every test condition, and about its own validation images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from flows.tasks.comparison import compare, evaluate
from models.spec import ModelSpec
from pipeline.artifacts import read_json, read_parquet
from pipeline.config import AuditConfig, CompareConfig
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, write_version

CLASSES = ("rest", "covid")
SPLITS = ["train", "val", "val", "test", "test", "test", "other_source", "other_source"]


class Brightness(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mean = images.mean(dim=(1, 2, 3))
        return torch.stack([-mean, mean], dim=1)


def version(path: Path, name: str, splits: list[str], grey: int) -> Path:
    """Images a little brighter one after the other, beginning at `grey`."""
    images = pd.DataFrame({"image_id": [f"i{n}" for n in range(len(splits))], "split": splits})
    images = images.assign(patient_id=images["image_id"], label=[CLASSES[n % 2] for n in range(len(splits))], sex="F")
    images = images.reindex(columns=list(IMAGE_COLUMNS))
    pixels = np.stack([np.full((8, 8), grey + n) for n in range(len(splits))]).astype(np.uint8)
    with write_version(path / name, 8, "uint8") as writer:
        writer.write_shard(0, images, pixels)
        writer.finish(DatasetMeta("d", name, "D", CLASSES, "covid", 8, "uint8"), images, 1)
    return path / name


def test_validation_images_are_those_an_arm_was_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModelSpec("brightness", CLASSES, (8, 8), mean=0.0, std=1.0)
    monkeypatch.setattr("pipeline.train.load_classifier", lambda _: (Brightness().eval(), spec))
    raw = version(tmp_path, "raw", SPLITS, 0)
    versions = {name: version(tmp_path, name, SPLITS, grey) for name, grey in (("cleansed", 100), ("control", 200))}
    versions["marker_swapped"] = version(tmp_path, "swapped", ["test"] * 3, 50)
    bundles = {arm: [tmp_path] * 3 for arm in ("before", "after", "control")}
    evaluate.fn(tmp_path, raw, versions, bundles, [0, 1, 2], "cpu")

    found = read_parquet(tmp_path / "evaluations.parquet")
    sizes = found.groupby(["condition", "arm", "seed"]).size()
    assert len(sizes) == 5 * 3 * 3
    by_condition = sizes.groupby("condition")
    expected_sizes = {"raw": 3, "cleansed": 3, "marker_swapped": 3, "other_source": 2, "validation": 2}
    assert by_condition.min().to_dict() == by_condition.max().to_dict() == expected_sizes
    validation = found[(found["condition"] == "validation") & (found["image_id"] == "i1")]
    shown = validation.groupby("arm")["p_covid"].first()
    expected = {"before": 1, "after": 101, "control": 201}
    assert shown.to_dict() == pytest.approx({a: 1 / (1 + np.exp(-2 * g / 255)) for a, g in expected.items()}, rel=1e-5)

    compare.fn(tmp_path, raw, AuditConfig(compare=CompareConfig(bootstrap=100)))
    comparison = read_json(tmp_path / "comparison.json")
    assert list(comparison["conditions"]) != []
    assert "validation" not in comparison["conditions"]
    assert comparison["thresholds"]["after"]["n"] == 2
