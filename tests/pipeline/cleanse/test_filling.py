"""Fill and growth of a single line, and fills that do not see what another one removes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.cleanse import Plan, apply_plan, make_plan, random_control
from pipeline.cleanse.holes import holes, records
from pipeline.config import CleanseConfig
from pipeline.dataset import DatasetVersion


@pytest.fixture
def plan(dataset: DatasetVersion, regions: pd.DataFrame, findings: list[dict[str, Any]]) -> Plan:
    """Side markers by the median, grown by 1; dates by telea, grown by 3."""
    made = make_plan(
        findings,
        regions,
        dataset,
        CleanseConfig(fill="median", dilation=1.0),
        {"F1": "reviewer ann", "F2": "reviewer ann"},
    )
    side, date = made.lines
    return made.model_copy(update={"lines": (side, date.model_copy(update={"fill": "telea", "dilation": 3.0}))})


def test_each_line_has_its_own_fill_and_growth(dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame) -> None:
    assert plan.fills == ("median", "telea")
    made = holes(plan, regions)(records(dataset.images)[1])
    assert made is not None
    assert (made[3:11, 3:13] == 1).all()
    assert (made[47:63, 17:43] == 2).all()  # 40-80 x 100-120 halved, grown by 3
    assert np.bincount(made.reshape(-1)).tolist() == [64 * 48 - 80 - 16 * 26, 80, 16 * 26]


def test_what_a_fill_paints_is_free_of_other_marks(
    tmp_path: Path, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame
) -> None:
    # A bright mark beside a region of the other fill: painted over one after the other, it would bleed.
    regions = regions.copy()
    dates = regions["kind"] == "date"
    regions.loc[dates, ["x0", "y0", "x1", "y1"]] = [26.0, 8.0, 50.0, 20.0]
    result = apply_plan(dataset, plan, regions, tmp_path).pixels([1])[0]
    assert result[3:12, 11:36].max() < 0.6 * 255


def test_the_control_moves_parts_with_their_fills(
    tmp_path: Path, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame
) -> None:
    one = random_control(dataset, plan, regions, tmp_path)
    same = plan.model_copy(update={"lines": (plan.lines[0], plan.lines[1].model_copy(update={"fill": None}))})
    two = random_control(dataset, same, regions, tmp_path)
    differing = (one.pixels(range(24)) != two.pixels(range(24))).any(axis=(1, 2))
    assert set(np.flatnonzero(differing)) == {0, 1, 9}  # the images with dates
