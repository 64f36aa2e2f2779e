"""Marker-swapped images: the mark changes sides, anatomy and labels stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.cleanse import Plan, make_plan, marker_swapped
from pipeline.cleanse.swap import donors
from pipeline.config import CleanseConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import EmptyResultError

INK = (slice(4, 10), slice(12, 20))


@pytest.fixture
def plan(dataset: DatasetVersion, regions: pd.DataFrame, findings: list[dict[str, Any]]) -> Plan:
    return make_plan(findings, regions, dataset, CleanseConfig(fill="telea", dilation=1.0))


def marked(version: DatasetVersion) -> np.ndarray:
    """Which images show the bright mark at its place."""
    return version.pixels(range(len(version)))[:, INK[0], INK[1]].mean(axis=(1, 2)) > 0.8 * 255


def test_mark_frequency_is_exchanged(
    tmp_path: Path, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame
) -> None:
    rows = np.arange(24)
    swapped = marker_swapped(dataset, plan, regions, tmp_path, rows=rows)
    positive = (dataset.images["label"] == "covid").to_numpy()
    assert (marked(dataset)[positive].sum(), marked(dataset)[~positive].sum()) == (10, 1)
    assert (marked(swapped)[positive].sum(), marked(swapped)[~positive].sum()) == (1, 10)
    pd.testing.assert_frame_equal(swapped.images, dataset.images)


def test_only_mark_places_change(tmp_path: Path, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame) -> None:
    swapped = marker_swapped(dataset, plan, regions, tmp_path, rows=np.arange(24))
    difference = swapped.pixels(range(24)) != dataset.pixels(range(24))
    difference[:, 3:11, 11:21] = False
    assert not difference.any()


def test_ink_comes_without_the_donors_anatomy(
    tmp_path: Path, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame
) -> None:
    swapped = marker_swapped(dataset, plan, regions, tmp_path, rows=np.arange(24))
    gained = np.flatnonzero(marked(swapped) & ~marked(dataset))
    # Around the ink, inside the dilated box, the recipient's own noise must survive.
    edge = swapped.pixels(gained)[:, 3, 11:21].astype(float) - dataset.pixels(gained)[:, 3, 11:21]
    assert np.abs(edge).mean() < 6


def test_default_rows_are_the_test_split_and_others_are_left_out(
    tmp_path: Path, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame
) -> None:
    swapped = marker_swapped(dataset, plan, regions, tmp_path)
    assert swapped.images["image_id"].tolist() == dataset.images["image_id"].iloc[dataset.rows("test")].tolist()


def test_donors_come_from_the_other_side_and_ignore_row_order(dataset: DatasetVersion) -> None:
    pairs = donors(dataset, np.arange(24), seed=3)
    label = dataset.images.set_index("image_id")["label"]
    assert all(label[image_id] != dataset.images["label"].iloc[row] for image_id, row in pairs.items())
    assert sorted(pairs.values()) == list(range(24))
    assert donors(dataset, np.arange(24)[::-1], seed=3) == pairs
    assert donors(dataset, np.arange(24), seed=4) != pairs


def test_donors_are_cycled_when_the_other_side_is_smaller(dataset: DatasetVersion) -> None:
    pairs = donors(dataset, np.array([1, 3, 5, 7, 9, 0, 2]), seed=0)
    assert sorted(row for row in pairs.values() if row in (0, 2)) in ([0, 0, 0, 2, 2], [0, 0, 2, 2, 2])


def test_one_sided_rows_are_refused(
    tmp_path: Path, make_dataset: Callable[..., DatasetVersion], plan: Plan, regions: pd.DataFrame
) -> None:
    with pytest.raises(EmptyResultError, match="images of 'covid' and of other classes; found 3 and 0"):
        marker_swapped(make_dataset(name="one"), plan, regions, tmp_path, rows=np.array([1, 3, 5]))
