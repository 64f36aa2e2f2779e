"""The residual probe finds a fill that leaves a trace and does not find one that leaves none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from torch import Tensor

from pipeline.cleanse import apply_plan, cleansing_probe, make_plan
from pipeline.cleanse.probe import texture
from pipeline.config import CleanseConfig
from pipeline.dataset import DatasetVersion, derive_version


def test_flat_fill_is_told_apart(
    tmp_path: Path, dataset: DatasetVersion, regions: pd.DataFrame, findings: list[dict[str, Any]]
) -> None:
    plan = make_plan(findings, regions, dataset, CleanseConfig(fill="median", dilation=1.0))
    probe = cleansing_probe(dataset, apply_plan(dataset, plan, regions, tmp_path), plan, regions)
    assert probe["auroc"]["mean"] > 0.9
    assert probe["auroc"]["low"] > 0.6
    assert (probe["cleansed"], probe["untouched"], probe["same_place"]) == (11, 11, 11)


def test_a_perfect_fill_cannot_be_told_apart(
    tmp_path: Path, dataset: DatasetVersion, regions: pd.DataFrame, findings: list[dict[str, Any]]
) -> None:
    # Where nothing was printed, the pixels of the same place of another image are ground like any other.
    place = (slice(None), slice(28, 36), slice(38, 46))
    regions = regions.assign(x0=60.0, x1=76.0, y0=56.0, y1=72.0)

    def edit(table: pd.DataFrame, images: Tensor) -> Tensor:
        edited = images.clone()
        edited[:, *place] = images.roll(5, dims=0)[:, *place]
        return edited

    cleansed = derive_version(dataset, tmp_path / "perfect", np.arange(len(dataset)), edit, "perfect", {})
    plan = make_plan(findings, regions, dataset, CleanseConfig(dilation=0.0))
    probe = cleansing_probe(dataset, cleansed, plan, regions)
    assert probe["cleansed"] == 11
    assert probe["auroc"]["low"] < 0.5 < probe["auroc"]["high"]


def test_too_few_patches_give_no_number(
    tmp_path: Path, dataset: DatasetVersion, regions: pd.DataFrame, findings: list[dict[str, Any]]
) -> None:
    few = regions[:4]
    plan = make_plan(findings, few, dataset, CleanseConfig(dilation=1.0))
    probe = cleansing_probe(dataset, apply_plan(dataset, plan, few, tmp_path), plan, few)
    assert probe["auroc"] == {"mean": None, "low": None, "high": None}
    assert probe["cleansed"] == 4


def test_what_the_plan_names_but_was_not_filled_is_not_read(
    tmp_path: Path, dataset: DatasetVersion, regions: pd.DataFrame, findings: list[dict[str, Any]]
) -> None:
    plan = make_plan(findings, regions, dataset, CleanseConfig(dilation=1.0))
    probe = cleansing_probe(dataset, apply_plan(dataset, plan, regions[:4], tmp_path), plan, regions)
    assert probe["cleansed"] == 4


def test_texture_of_a_flat_hole_in_noise() -> None:
    patch = np.random.default_rng(0).random((30, 30))
    inside = np.zeros((30, 30), dtype=bool)
    inside[10:20, 10:20] = True
    patch[inside] = 0.5
    features = texture(patch, inside)
    assert features[0] == pytest.approx(np.log(1e-4))
    assert features[3] == pytest.approx(np.log(patch[~inside].std() + 1e-4))
    assert np.allclose(features[6:9], features[:3] - features[3:6])
    assert features[9] == pytest.approx(abs(0.5 - patch[~inside].mean()))
