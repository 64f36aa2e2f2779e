"""Thresholds, losses and what is won back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from models import ModelSpec
from pipeline.benchmark.shortcuts.plant import Sheet
from pipeline.benchmark.shortcuts.repair import best_threshold, cleansed, measured, won_back
from pipeline.config import CleanseConfig
from pipeline.dataset import DatasetVersion


@pytest.mark.parametrize(
    ("scores", "positive", "threshold"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], 0.5),  # any cut between the classes is perfect: midway
        ([0.1, 0.6, 0.4, 0.9], [0, 0, 1, 1], 0.25),  # F1 of {.9}: 2/3, {.9 .6}: 1/2, {.9 .6 .4}: 4/5, all: 2/3
        ([0.5, 0.5, 0.5, 0.1], [1, 0, 1, 0], 0.3),  # equal scores stay together
        ([0.3, 0.2], [0, 0], 0.5),
    ],
)
def test_best_threshold(scores: list[float], positive: list[int], threshold: float):
    assert best_threshold(np.array(scores), np.array(positive, bool)) == pytest.approx(threshold)


def f1(scores: np.ndarray, positive: np.ndarray, cut: float) -> float:
    called = scores >= cut
    return 2 * (positive & called).sum() / (called.sum() + positive.sum())


def test_best_threshold_is_what_trying_all_finds():
    generator = np.random.default_rng(0)
    for _ in range(20):
        scores, positive = generator.random(30).round(1), generator.random(30) < 0.4
        assert f1(scores, positive, best_threshold(scores, positive)) == pytest.approx(
            max(f1(scores, positive, cut) for cut in scores)
        )


def test_won_back():
    assert won_back(0.9, 0.5, 0.8) == pytest.approx(0.75)
    assert won_back(0.9, 0.5, 0.4) == pytest.approx(-0.25)
    assert won_back(0.9, 0.86, 0.9) is None  # too little was lost
    assert won_back(0.9, None, 0.9) is None


class Brightness(nn.Module):
    """Logit of the second class: the mean of the input."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mean = images.mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(mean), mean], dim=1)


def test_metrics_are_those_of_the_threshold_of_the_validation_images(sheets: tuple[Sheet, Sheet]):
    base = sheets[0].version
    spec = ModelSpec("small", base.meta.classes, (96, 96))
    rows = base.rows("test")
    found = measured(Brightness().eval(), spec, base, {"test": (base, rows)})["test"]

    def scores(chosen: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-((base.pixels(chosen) / 255 - 0.5) / 0.25).mean(axis=(1, 2))))

    val = base.rows("val")
    called = scores(rows) >= best_threshold(scores(val), base.labels(val) == 1)
    positive = base.labels(rows) == 1
    assert found["recall"] == pytest.approx((called & positive).sum() / positive.sum())
    assert found["precision"] == pytest.approx((called & positive).sum() / called.sum())
    wins = scores(rows)[positive][:, None] > scores(rows)[~positive][None]
    assert found["auroc"] == pytest.approx(wins.mean())


def test_nothing_to_fill_is_no_repair(sheets: tuple[Sheet, Sheet], tmp_path):
    sheet, config = sheets[1], CleanseConfig()
    trait = [{"id": "F01", "kind": "trait/exposure", "status": "confirmed"}]
    assert cleansed(sheet.version, trait, sheet.regions, config, tmp_path, 0) is None
    assert cleansed(sheet.version, [], sheet.regions, config, tmp_path, 0) is None


def test_confirmed_regions_are_filled(sheets: tuple[Sheet, Sheet], tmp_path):
    sheet = sheets[1]
    found = sheet.truth.assign(kind="word", text=None)
    accepted = [{"id": "F01", "kind": "word", "status": "confirmed"}]
    clean = cleansed(sheet.version, accepted, found, CleanseConfig(), tmp_path, 0)
    assert isinstance(clean, DatasetVersion)
    truth = found.iloc[0]
    box = (slice(int(truth["y0"]), int(truth["y1"])), slice(int(truth["x0"]), int(truth["x1"])))
    marked, plain, repaired = (
        each.pixels([0])[0][box].astype(int) for each in (sheet.version, sheets[0].version, clean)
    )
    assert abs(repaired - plain).mean() < 0.5 * abs(marked - plain).mean()
