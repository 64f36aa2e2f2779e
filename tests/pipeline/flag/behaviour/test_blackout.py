"""Black-outs under classifiers whose evidence is in the middle of the picture, or on its rim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.config import FlagConfig
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.flag.behaviour import embeddings, estimates
from pipeline.flag.behaviour.blackout import blackout, centre_black
from pipeline.flag.behaviour.cross_source import Features, fairness_gaps
from pipeline.types import StoreTransform

SIZE, COUNT = 64, 120
CLASSES = ("rest", "covid")
SPEC = ModelSpec("grid", CLASSES, (SIZE, SIZE), mean=0.0, std=1.0)
PLACES = {"rim": (slice(0, 3), slice(20, 44)), "middle": (slice(28, 36), slice(28, 36))}


class Grid(nn.Module):
    """Means of an 8 x 8 grid and a linear layer that reads the cells of one place."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(8)
        self.head = nn.Linear(64, 2)
        weight = torch.zeros(1, 1, SIZE, SIZE)
        weight[(0, 0, *PLACES[place])] = 1
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.weight[1] = self.pool(weight).flatten() * 20
            self.head.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.pool(images).flatten(1))


class Bare(nn.Module):
    """The same without a linear layer."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = (slice(None), 0, *PLACES[place])

    def forward(self, images: Tensor) -> Tensor:
        mean = images[self.place].mean(dim=(1, 2))
        return torch.stack([-mean, mean], dim=1)


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "RESAMPLES", 200)
    monkeypatch.setattr(embeddings, "NULL", 19)


def make(folder: Path, place: str) -> DatasetVersion:
    """Covid images (odd) are brighter at `place`; half of the images train."""
    at = StoreTransform.fit(96, 128, SIZE)
    facts = {"width": 96, "height": 128, "scale": at.scale, "pad_x": at.pad_x, "pad_y": at.pad_y, "source": "a"}
    table = pd.DataFrame([{**dict.fromkeys(IMAGE_COLUMNS), **facts} for _ in range(COUNT)])
    table["image_id"] = [f"id{n:03d}" for n in range(COUNT)]
    table["label"] = [CLASSES[n % 2] for n in range(COUNT)]
    table["split"] = np.where(np.arange(COUNT) < COUNT // 2, "train", "test")
    pixels = np.zeros((COUNT, SIZE, SIZE))
    pixels[:, :, 8:56] = 0.3 + 0.05 * np.random.default_rng(0).standard_normal((COUNT, SIZE, 48))
    pixels[(slice(1, None, 2), *PLACES[place])] += 0.4
    with write_version(folder / place, SIZE, "uint8") as writer:
        writer.write_shard(0, table, (pixels.clip(0, 1) * 255).round().astype(np.uint8))
        writer.finish(DatasetMeta("t", "v", "T", CLASSES, "covid", SIZE, "uint8"), table, 1)
    return DatasetVersion(folder / place)


def lungs(row: int) -> np.ndarray | None:
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[16:48, 16:48] = True
    return None if row == COUNT - 1 else mask


def found(dataset: DatasetVersion, model: nn.Module) -> tuple[dict[Any, dict[str, Any]], dict[str, Any]]:
    result = blackout(model.eval(), SPEC, dataset, FlagConfig(), seed=0, lungs=lungs)
    return {(each["seen"], each["r"], each["form"]): each for each in result["records"]}, result


def test_the_middle_of_the_content_is_black(tmp_path: Path) -> None:
    dataset = make(tmp_path, "rim")
    image = torch.ones(1, 1, SIZE, SIZE)
    black = centre_black(dataset, 0.5, 0, image)[0, 0] == 0
    assert black.sum() == 24 * 32  # half of 48 x 64
    assert black[16:48, 20:44].all()
    assert not (centre_black(dataset, 0.0, 0, image) == 0).any()
    assert (image == 1).all()


def test_what_lies_on_the_rim_survives_the_black_out(tmp_path: Path) -> None:
    records, result = found(make(tmp_path, "rim"), Grid("rim"))
    for form in ("classifier", "retrained"):
        for r in (0.0, 0.5, 0.6, 0.75, 0.9):
            assert records["centre black", r, form]["auroc"]["mean"] > 0.99
        assert records["outside the lungs", None, form]["auroc"]["mean"] > 0.99
        assert records["lungs only", None, form]["auroc"]["low"] < 0.6
    assert records["centre black", 0.9, "retrained"]["p"] < 0.01
    assert records["centre black", 0.9, "retrained"]["train"] == COUNT // 2
    assert records["outside the lungs", None, "classifier"]["auroc"]["n"] == COUNT // 2 - 1  # one has no mask
    assert result["verdict"].startswith("The label can be told without the lungs: outside the lungs, a logistic")
    assert "N = 59" in result["verdict"]


def test_what_lies_in_the_middle_does_not(tmp_path: Path) -> None:
    records, result = found(make(tmp_path, "middle"), Grid("middle"))
    for form in ("classifier", "retrained"):
        assert records["centre black", 0.0, form]["auroc"]["mean"] > 0.99
        assert records["lungs only", None, form]["auroc"]["mean"] > 0.99
        assert records["centre black", 0.75, form]["auroc"]["low"] <= 0.5
        assert records["outside the lungs", None, form]["p"] > 0.05
    assert result["verdict"].startswith("There is no sign that the label can be told without the lungs")


def test_a_network_without_features_still_has_its_curve(tmp_path: Path) -> None:
    result = blackout(Bare("rim").eval(), SPEC, make(tmp_path, "rim"), FlagConfig(), seed=0)
    assert {each["form"] for each in result["records"]} == {"classifier"}
    assert [each["r"] for each in result["records"]] == [0.0, 0.5, 0.6, 0.75, 0.9]
    assert result["cross_source"] == []
    assert "around a black centre of 90% of each side, the classifier" in result["verdict"]


def test_the_source_is_asked_for_within_a_class(tmp_path: Path) -> None:
    """Images that are bright at the rim come from source b: that can be seen with the centre black."""
    dataset = make(tmp_path, "rim")
    dataset.images["source"] = np.where(np.arange(COUNT) % 2, "b", "a")
    dataset.images["label"] = np.array(CLASSES)[np.arange(COUNT) // 2 % 2]
    result = blackout(Grid("rim").eval(), SPEC, dataset, FlagConfig(), seed=0)
    found = {(each["r"], each["class"]): each for each in result["source"]}
    assert set(found) == {(r, name) for r in (0.0, 0.9) for name in CLASSES}
    assert all(each["value"]["mean"] > 0.95 and each["p"] == 1 / 20 for each in found.values())
    assert result["verdict"].startswith("There is no sign")


def test_a_classifier_that_learned_the_source_has_a_gap(tmp_path: Path) -> None:
    """Feature 0 marks source a of covid, feature 1 (weaker) the disease itself."""
    dataset = make(tmp_path, "rim")
    covid = np.arange(COUNT) % 2 == 1
    first = covid & (np.arange(COUNT) // 2 % 2 == 0)
    dataset.images["source"] = np.where(first, "a", np.where(covid, "b", "c"))
    values = np.random.default_rng(0).standard_normal((COUNT, 2)).astype(np.float32)
    values[first, 0] += 6
    train, test = (Features(rows, values[rows]) for rows in (dataset.rows("train"), dataset.rows("test")))
    records = fairness_gaps(dataset, train, test, 0)
    gap = {(each["class"], each["trained_on"], each["tested_on"]): each for each in records}
    assert set(gap) == {("covid", "a", "b"), ("covid", "b", "a")}
    found = gap["covid", "a", "b"]
    assert found["within"]["mean"] > 0.99
    assert found["cross"]["mean"] < 0.7
    assert found["gap"]["low"] > 0.2
    assert found["within"]["n"] == 45
    assert found["gap"]["n"] == 60
