"""Decoys stand where marks stand, but never in lungs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.cleanse import Lungs, Plan, make_plan, regions_to_clean
from pipeline.cleanse.decoys import with_decoys
from pipeline.cleanse.holes import Holes, holes, records
from pipeline.config import CleanseConfig
from pipeline.dataset import DatasetVersion


@pytest.fixture
def plan(dataset: DatasetVersion, regions: pd.DataFrame, findings: list[dict[str, Any]]) -> Plan:
    return make_plan(findings, regions, dataset, CleanseConfig(fill="median", dilation=1.0))


def decoyed(dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame, lungs: Lungs | None) -> list[Holes | None]:
    every = records(dataset.images)
    maker = with_decoys(every, holes(plan, regions_to_clean(plan, regions)), 0, lungs)
    return [maker(record) for record in every]


def lungs(at: tuple[slice, slice]) -> Lungs:
    mask = np.zeros((64, 64), dtype=bool)
    mask[at] = True
    return Lungs("test", 64, {f"id{number:02d}": mask for number in range(24)})


def test_every_image_gets_a_hole_at_the_place_of_a_mark(
    dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame
) -> None:
    for made in decoyed(dataset, plan, regions, None):
        assert made is not None
        assert made[3:11, 3:13].all()
        assert made.sum() == 80


def test_no_decoy_where_it_would_lie_in_the_lungs(dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame) -> None:
    # All marks stand at the same place, and the lungs of every image lie there: marks stay holes, decoys go.
    made = decoyed(dataset, plan, regions, lungs((slice(0, 20), slice(0, 40))))
    assert sum(each is not None for each in made) == 11
    assert all(each is not None for each in decoyed(dataset, plan, regions, lungs((slice(40, 60), slice(0, 40)))))


def test_another_marked_image_lends_its_places_where_the_first_ones_lie_in_the_lungs(
    dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame
) -> None:
    moved = regions.copy()
    moved.loc[moved["image_id"] == "id01", ["y0", "y1"]] = [100.0, 112.0]
    made = decoyed(dataset, plan, moved, lungs((slice(0, 20), slice(0, 40))))
    decoys = [each for number, each in enumerate(made) if f"id{number:02d}" not in set(moved["image_id"][:11])]
    assert all(each is not None and each[49:57, 3:13].all() and not each[:40].any() for each in decoys)


def test_no_decoy_where_lungs_were_not_found(dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame) -> None:
    assert sum(each is not None for each in decoyed(dataset, plan, regions, Lungs("none", 64, {}))) == 11
