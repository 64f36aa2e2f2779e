"""Regions as a review left them, and a cleanse that follows single decisions alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.artifacts import read_json
from pipeline.cleanse import apply_plan, hold_back, make_plan, marker_swapped, random_control, with_reviewed
from pipeline.config import CleanseConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import EmptyResultError

CONFIG = CleanseConfig(fill="median", dilation=1.0)


@pytest.fixture
def found(regions: pd.DataFrame) -> pd.DataFrame:
    return regions.assign(region_id=[f"r{n:02d}" for n in range(len(regions))], detector="text", confidence=0.5)


def row(region: pd.Series[Any], **changes: Any) -> dict[str, Any]:
    same = {"origin": "detected", "deleted": False, "edited": False, "verdict": None, "decided_by": None}
    return {**region.to_dict(), **same, **changes}


def test_nothing_reviewed_is_nothing_changed(found: pd.DataFrame) -> None:
    empty = pd.DataFrame([row(found.iloc[0])]).iloc[:0]
    seen = with_reviewed(found, empty)
    assert seen["decided"].isna().all()
    for name in ("region_id", "image_id", "x0", "detector"):
        assert seen[name].tolist() == found[name].tolist()


def test_deleted_moved_drawn_and_decided(found: pd.DataFrame) -> None:
    first, second, third = (found.iloc[number] for number in range(3))
    drawn = {"region_id": "new", "image_id": "id02", "kind": "word", "text": None, "x0": 1.5, "detector": "x"}
    reviewed = pd.DataFrame(
        [
            row(first, deleted=True),
            row(second, edited=True, kind="glyph", text=None, x0=9.25),
            row(third, verdict="unsure", decided_by="ann"),
            row(third, origin="drawn", edited=True, **drawn),
            row(third, origin="residual", region_id="again"),
            row(third, origin="residual", region_id="again2", verdict="accepted", decided_by="ann, bob"),
            row(third, origin="drawn", region_id="gone", deleted=True, verdict="accepted"),
        ]
    )
    seen = with_reviewed(found, reviewed).set_index("region_id")
    assert list(seen.index) == [*found["region_id"][1:], "again2", "new"]
    assert (seen.loc["r01", "kind"], pd.isna(seen.loc["r01", "text"]), seen.loc["r01", "x0"]) == ("glyph", True, 9.25)
    assert seen.loc["r01", "x1"] == second["x1"]
    assert seen.loc["r02", ["decided", "decided_by"]].tolist() == ["review", "ann"]
    assert seen.loc["new", ["detector", "kind", "x0"]].tolist() == ["reviewer", "word", 1.5]
    assert seen.loc["again2", ["detector", "decided", "decided_by"]].tolist() == ["residual", "remove", "ann, bob"]
    assert seen["decided"].notna().sum() == 2


def decided(found: pd.DataFrame, **verdicts: str) -> pd.DataFrame:
    own = found.set_index("region_id", drop=False)
    return with_reviewed(
        found, pd.DataFrame([row(own.loc[name], verdict=each, decided_by="ann") for name, each in verdicts.items()])
    )


def test_regions_alone_make_a_plan_that_every_operation_follows(
    tmp_path: Path, dataset: DatasetVersion, found: pd.DataFrame, findings: list[dict[str, Any]]
) -> None:
    accepted = {name: "accepted" for name in found.loc[found["image_id"].isin(["id01", "id03"]), "region_id"]}
    regions = decided(found, **accepted)
    plan = make_plan(findings, regions, dataset, CONFIG, {})
    assert (plan.lines, plan.edited) == ((), False)
    assert plan.exceptions.removed == {"rest": 0, "covid": 3}  # two markers and a date
    assert (plan.impact["covid"].regions, plan.impact["covid"].images, plan.impact["rest"].images) == (3, 2, 0)
    judged = hold_back(plan, regions, dataset, None)
    cleansed = apply_plan(dataset, plan, judged, tmp_path)
    changed = (cleansed.pixels(range(24)) != dataset.pixels(range(24))).any(axis=(1, 2))
    assert np.flatnonzero(changed).tolist() == [1, 3]
    lineage = read_json(cleansed.path / "lineage.json")
    assert lineage["class_blind"]["images"] == 24
    assert lineage["changed"]["covid"]["images"] == 2
    for other in (random_control, marker_swapped):
        assert len(other(dataset, plan, judged, tmp_path)) in (24, len(dataset.rows("test")))


def test_a_kept_region_keeps_its_pixels(
    tmp_path: Path, dataset: DatasetVersion, found: pd.DataFrame, findings: list[dict[str, Any]]
) -> None:
    kept = found.loc[(found["image_id"] == "id01") & (found["kind"] == "side"), "region_id"].iloc[0]
    plain, own = found.assign(decided=pd.NA), decided(found, **{kept: "keep"})
    versions = []
    for regions in (plain, own):
        plan = make_plan(findings, regions, dataset, CONFIG)
        versions.append(apply_plan(dataset, plan, hold_back(plan, regions, dataset, None), tmp_path))
    assert versions[0].meta.version != versions[1].meta.version
    differ = (versions[0].pixels(range(24)) != versions[1].pixels(range(24))).any(axis=(1, 2))
    assert np.flatnonzero(differ).tolist() == [1]
    np.testing.assert_array_equal(versions[1].pixels([1]), dataset.pixels([1]))


def test_who_decided_is_no_part_of_a_version(
    tmp_path: Path, dataset: DatasetVersion, found: pd.DataFrame, findings: list[dict[str, Any]]
) -> None:
    regions = decided(found, r00="accepted")
    plans = [
        make_plan(findings, each, dataset, CONFIG, {})
        for each in (regions, regions.assign(decided_by=regions["decided_by"].replace("ann", "bob")))
    ]
    assert plans[0].identity() == plans[1].identity()
    assert [plan.exceptions.decided_by for plan in plans] == [{"ann": 1}, {"bob": 1}]


def test_nothing_accepted_at_all_is_an_error(
    dataset: DatasetVersion, found: pd.DataFrame, findings: list[dict[str, Any]]
) -> None:
    with pytest.raises(EmptyResultError, match="no region by itself"):
        make_plan(findings, decided(found, r00="keep"), dataset, CONFIG, {})
