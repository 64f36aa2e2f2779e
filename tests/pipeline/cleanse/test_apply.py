"""Cleansed and control versions: exactly the planned pixels change, the parent never does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.artifacts import read_json, sha256_tree
from pipeline.cleanse import Plan, apply_plan, make_plan, random_control
from pipeline.config import CleanseConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError

CONFIG = CleanseConfig(fill="median", dilation=1.0)
MARK = (slice(3, 11), slice(11, 21))  # the dilated mark in the store: content rows 3-10, columns 3-12, padded by 8


@pytest.fixture
def plan(dataset: DatasetVersion, regions: pd.DataFrame, findings: list[dict[str, Any]]) -> Plan:
    return make_plan(findings, regions, dataset, CONFIG)


def changed(before: DatasetVersion, after: DatasetVersion) -> np.ndarray:
    rows = np.arange(len(before))
    return before.pixels(rows) != after.pixels(rows)


def test_cleansing_changes_the_planned_pixels_and_no_other(
    tmp_path: Path, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame
) -> None:
    before = sha256_tree(dataset.path)
    cleansed = apply_plan(dataset, plan, regions, tmp_path / "out")
    difference = changed(dataset, cleansed)
    marked = dataset.images["image_id"].isin(regions.loc[regions["kind"] == "side", "image_id"]).to_numpy()
    assert difference[marked][:, 4:10, 12:20].all()
    difference[:, MARK[0], MARK[1]] = False
    assert not difference.any()
    assert not changed(dataset, cleansed)[~marked].any()
    assert (cleansed.pixels(np.flatnonzero(marked))[:, MARK[0], MARK[1]] < 0.6 * 255).all()
    assert sha256_tree(dataset.path) == before


def test_decoys_fill_every_image_at_the_places_of_marks(
    tmp_path: Path, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame
) -> None:
    plain = apply_plan(dataset, plan, regions, tmp_path)
    decoyed = apply_plan(dataset, plan, regions, tmp_path, decoys=True)
    assert decoyed.meta.version != plain.meta.version
    difference = changed(dataset, decoyed)
    assert (difference[:, MARK[0], MARK[1]].sum(axis=(1, 2)) > 60).all()  # of 80: noise may equal the median
    difference[:, MARK[0], MARK[1]] = False
    assert not difference.any()
    marked = changed(dataset, plain).any(axis=(1, 2))
    assert np.array_equal(plain.pixels(np.flatnonzero(marked)), decoyed.pixels(np.flatnonzero(marked)))


def test_table_stays_and_lineage_says_what_was_done(
    tmp_path: Path, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame
) -> None:
    cleansed = apply_plan(dataset, plan, regions, tmp_path / "out")
    pd.testing.assert_frame_equal(cleansed.images, dataset.images)
    assert cleansed.path == tmp_path / "out" / "study" / cleansed.meta.version
    lineage = read_json(cleansed.path / "lineage.json")
    assert lineage["parent"] == "v0"
    assert lineage["operation"] == "cleansed"
    assert lineage["plan"] == plan.identity()


def test_version_follows_from_content(
    tmp_path: Path, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame
) -> None:
    first = apply_plan(dataset, plan, regions, tmp_path / "a")
    again = apply_plan(dataset, plan, regions.sample(frac=1, random_state=1), tmp_path / "b")
    assert first.meta.version == again.meta.version
    assert sha256_tree(first.path) == sha256_tree(again.path)
    others = [
        apply_plan(dataset, plan.model_copy(update={"fill": "blur"}), regions, tmp_path / "c"),
        apply_plan(dataset, plan, regions.assign(x1=regions["x1"] + 1), tmp_path / "c"),
        random_control(dataset, plan, regions, tmp_path / "c"),
    ]
    assert len({first.meta.version, *(other.meta.version for other in others)}) == 4


def test_plan_of_another_version_is_refused(
    tmp_path: Path, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame
) -> None:
    with pytest.raises(InputError, match="made for data set version v7, this is version v0"):
        apply_plan(dataset, plan.model_copy(update={"dataset": "v7"}), regions, tmp_path)


def test_region_that_covers_an_image_is_refused(
    tmp_path: Path, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame
) -> None:
    regions.loc[0, ["x0", "y0", "x1", "y1"]] = [0, 0, 96, 128]
    with pytest.raises(InputError, match=r"cover all of image id01 \(1.png\)"):
        apply_plan(dataset, plan, regions, tmp_path)


def test_control_fills_as_much_in_the_same_images_but_elsewhere(
    tmp_path: Path, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame
) -> None:
    control = random_control(dataset, plan, regions, tmp_path / "out")
    difference = changed(dataset, control)
    marked = dataset.images["image_id"].isin(regions.loc[regions["kind"] == "side", "image_id"]).to_numpy()
    assert not difference[~marked].any()
    assert not difference[:, MARK[0], MARK[1]].any()
    date = (slice(49, 61), slice(27, 49))  # 40-80 x 100-120, halved, dilated by 1, padded by 8
    assert not difference[[1, 9], date[0], date[1]].any()
    assert not difference[:, :, :8].any()
    for image in difference[marked]:
        rows, columns = np.nonzero(image)
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) <= (8, 10)
        assert image.sum() > 60  # of 80: a noisy pixel may equal the median
    places = {tuple(np.argwhere(image)[0]) for image in difference[marked]}
    assert len(places) > 5
    assert read_json(control.path / "lineage.json")["crowded_images"] == 0


def test_control_depends_on_seed_and_image_only(
    tmp_path: Path, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame
) -> None:
    first = random_control(dataset, plan, regions, tmp_path / "a", seed=1)
    fewer = random_control(dataset, plan, regions[regions["image_id"] != "id01"], tmp_path / "b", seed=1)
    other = random_control(dataset, plan, regions, tmp_path / "c", seed=2)
    assert np.array_equal(first.pixels(range(2, 24)), fewer.pixels(range(2, 24)))
    assert not np.array_equal(first.pixels(range(24)), other.pixels(range(24)))


def test_control_counts_crowded_images(
    tmp_path: Path, dataset: DatasetVersion, regions: pd.DataFrame, plan: Plan
) -> None:
    wall = {"image_id": "id01", "kind": "date", "text": None, "x0": 0.0, "y0": 24.0, "x1": 96.0, "y1": 128.0}
    crowded = pd.concat([regions, pd.DataFrame([{**wall}, {**wall, "x0": 28.0, "y0": 0.0}])], ignore_index=True)
    control = random_control(dataset, plan, crowded, tmp_path)
    assert read_json(control.path / "lineage.json")["crowded_images"] == 1


@pytest.mark.parametrize("operation", [apply_plan, random_control])
def test_second_call_does_no_work(
    tmp_path: Path, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame, operation: Callable[..., DatasetVersion]
) -> None:
    first = operation(dataset, plan, regions, tmp_path)
    stamp = (first.path / "meta.json").stat().st_mtime_ns
    assert operation(dataset, plan, regions, tmp_path).path == first.path
    assert (first.path / "meta.json").stat().st_mtime_ns == stamp
