"""What lies in the lungs is not filled before a person said so, and is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.cleanse import Lungs, Plan, apply_plan, held_back_table, hold_back, make_plan, regions_to_clean
from pipeline.config import CleanseConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import EmptyResultError

CONFIG = CleanseConfig(fill="median", dilation=1.0)
Findings = list[dict[str, Any]]


def lungs_in_columns(of: dict[str, tuple[int, int]]) -> Lungs:
    """Lungs that fill store columns [start, stop) of some images; elsewhere they lie at the lower right, off all marks.

    The mark, grown by 1, covers rows 3-10 and columns 11-20 of the store.
    """
    masks = {f"id{number:02d}": np.zeros((64, 64), dtype=bool) for number in range(24)}
    for name, mask in masks.items():
        start, stop = of.get(name, (50, 54))
        mask[:, start:stop] = True
    return Lungs("test", 64, masks)


@pytest.fixture
def plan(dataset: DatasetVersion, regions: pd.DataFrame, findings: Findings) -> Plan:
    return make_plan(findings, regions, dataset, CONFIG)


def test_more_than_a_tenth_in_the_lungs_is_held_back(
    dataset: DatasetVersion, regions: pd.DataFrame, plan: Plan
) -> None:
    judged = hold_back(plan, regions, dataset, lungs_in_columns({"id01": (11, 13), "id03": (11, 12)}))
    sides = judged[judged["kind"] == "side"].set_index("image_id")
    assert sides.loc["id01", "lung_share"] == pytest.approx(0.2)  # 2 of 10 columns
    assert sides.loc["id03", "lung_share"] == pytest.approx(0.1)  # not more than a tenth
    assert sides["held_back"].dropna().to_dict() == {"id01": "in-lungs"}
    assert judged.loc[judged["kind"] == "date", ["held_back", "lung_share"]].isna().all(axis=None)
    assert set(regions_to_clean(plan, judged)["image_id"]) == set(sides.index) - {"id01"}


def test_unknown_lungs_hold_back_and_no_lungs_at_all_do_not(
    dataset: DatasetVersion, regions: pd.DataFrame, plan: Plan
) -> None:
    lungs = lungs_in_columns({})
    lungs.masks["id01"][:] = False
    masks = {name: mask for name, mask in lungs.masks.items() if name != "id03"}
    judged = hold_back(plan, regions, dataset, Lungs("test", 64, masks))
    held = held_back_table(judged)
    assert sorted(zip(held["image_id"], held["reason"], strict=True)) == [
        ("id01", "lungs-unknown"),
        ("id03", "lungs-unknown"),
    ]
    assert hold_back(plan, regions, dataset, None)["held_back"].isna().all()


def test_a_persons_decision_fills_lungs_and_a_policys_does_not(
    dataset: DatasetVersion, regions: pd.DataFrame, findings: Findings
) -> None:
    lungs = lungs_in_columns({"id01": (0, 64)})
    for who, held in (("policy: confirmed", 1), ("reviewer ann", 0)):
        plan = make_plan(findings, regions, dataset, CONFIG, {"F1": who}, lungs=lungs)
        covid = plan.impact["covid"]
        assert (covid.held_back, covid.regions, covid.images) == (held, 10 - held, 10 - held)
        assert covid.pixels == 80 * (10 - held)
        assert covid.in_lungs == 80 * (1 - held)
    allowed = plan.model_copy(update={"lines": (plan.lines[0].model_copy(update={"in_lungs": "refuse"}),)})
    assert hold_back(allowed, regions, dataset, lungs)["held_back"].notna().sum() == 1


def test_review_lines_are_listed_and_not_filled(
    dataset: DatasetVersion, regions: pd.DataFrame, findings: Findings
) -> None:
    plan = make_plan(findings, regions, dataset, CONFIG, left={"F2": ("review", "reviewer ann: unsure")})
    judged = hold_back(plan, regions, dataset, None)
    table = held_back_table(judged)
    assert (table["kind"].tolist(), table["reason"].unique().tolist()) == (["date"] * 3, ["review"])
    assert list(table.columns) == ["image_id", "kind", "text", "x0", "y0", "x1", "y1", "lung_share", "reason"]
    assert set(regions_to_clean(plan, judged)["kind"]) == {"side"}
    assert {name: count.held_back for name, count in plan.impact.items()} == {"rest": 1, "covid": 2}


def test_a_device_that_a_policy_accepts_is_only_listed(dataset: DatasetVersion, regions: pd.DataFrame) -> None:
    devices = regions.assign(kind="device")
    finding = {"id": "F", "kind": "device", "status": "confirmed"}
    assert make_plan([finding], devices, dataset, CONFIG).lines[0].policy == "review"
    assert make_plan([finding], devices, dataset, CONFIG, {"F": "reviewer ann"}).lines[0].policy == "remove"


def test_held_back_pixels_stay_and_an_empty_rest_is_an_error(
    tmp_path: Path, dataset: DatasetVersion, regions: pd.DataFrame, plan: Plan
) -> None:
    judged = hold_back(plan, regions, dataset, lungs_in_columns({"id01": (0, 64)}))
    cleansed = apply_plan(dataset, plan, judged, tmp_path)
    changed = (cleansed.pixels(range(24)) != dataset.pixels(range(24))).any(axis=(1, 2))
    assert (changed[1], changed[3], changed.sum()) == (False, True, 10)
    every = hold_back(plan, regions, dataset, Lungs("none", 64, {}))
    with pytest.raises(EmptyResultError, match="All 11 regions that the plan removes are held back"):
        apply_plan(dataset, plan, every, tmp_path)
