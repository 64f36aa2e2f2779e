"""Decisions about single regions that treat classes differently are told, with N and an interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from pipeline.cleanse import Lungs, Plan, PlanLine, hold_back, recounted
from pipeline.cleanse.balance import Imbalance, imbalances
from pipeline.dataset import DatasetVersion

SIDES = 48
LABELS = ["rest", "covid"] * (SIDES // 2)


@pytest.fixture
def dataset(make_dataset: Callable[..., DatasetVersion]) -> DatasetVersion:
    """24 patients a class, one image each, all with a side marker."""
    version = make_dataset(count=SIDES, labels=LABELS)
    version.images["patient_id"] = [f"p{number}" for number in range(SIDES)]
    return version


def sides(decided: dict[int, str], kind: str = "side") -> pd.DataFrame:
    corners = {"x0": 8.0, "y0": 8.0, "x1": 24.0, "y1": 20.0}
    rows = [
        {"region_id": f"r{n:02d}", "image_id": f"id{n:02d}", "kind": kind, "text": "L", **corners} for n in range(SIDES)
    ]
    table = pd.DataFrame(rows)
    table["decided"] = pd.array([decided.get(n) for n in range(SIDES)], dtype="string")
    return table.assign(decided_by=table["decided"].map(lambda each: None if pd.isna(each) else "ann").astype("string"))


def plan(*policies: str) -> Plan:
    lines = [
        PlanLine.model_validate({"finding": "F1", "kind": "side", "policy": each, "decided_by": "reviewer bob"})
        for each in policies
    ]
    return Plan(dataset="v0", fill="median", dilation=1.0, lines=tuple(lines))


def told(dataset: DatasetVersion, made: Plan, decided: dict[int, str]) -> tuple[str, ...]:
    return recounted(made, hold_back(made, sides(decided), dataset, None), dataset, None).exceptions.warnings


def test_marks_removed_in_one_class_only_are_told(dataset: DatasetVersion) -> None:
    (sentence,) = told(dataset, plan(), {number: "remove" for number in range(1, SIDES, 4)})
    p = stats.fisher_exact([[12, 12], [0, 24]]).pvalue
    assert "remove side in 12 of 24 patients of covid (50%) and in 0 of 24 of the other classes (0%)" in sentence
    assert f"q = {p:.2g}" in sentence
    assert "95% interval" in sentence


def test_marks_kept_in_one_class_only_are_told(dataset: DatasetVersion) -> None:
    (sentence,) = told(dataset, plan("remove"), {number: "keep" for number in range(0, SIDES, 4)})
    assert "keep side in 0 of 24 patients of covid (0%) and in 12 of 24" in sentence


@pytest.mark.parametrize(
    "decided",
    [
        {},
        {1: "remove"},  # one patient says nothing
        {number: "remove" for number in range(0, SIDES, 3)},  # as many in both classes
        {number: "keep" for number in range(1, SIDES, 2)},  # nothing would have been removed
    ],
)
def test_what_is_balanced_rare_or_without_effect_is_not_told(dataset: DatasetVersion, decided: dict[int, str]) -> None:
    assert told(dataset, plan(), decided) == ()


def test_decisions_that_agree_with_the_line_are_no_exceptions(dataset: DatasetVersion) -> None:
    made = plan("remove")
    judged = hold_back(made, sides({number: "remove" for number in range(1, SIDES, 2)}), dataset, None)
    assert judged["exception"].isna().all()
    assert imbalances(judged, dataset) == ()


def test_patients_count_not_images(dataset: DatasetVersion) -> None:
    dataset.images["patient_id"] = ["rest's", "covid's"] * (SIDES // 2)  # two patients
    assert told(dataset, plan(), {number: "remove" for number in range(1, SIDES, 2)}) == ()


def test_the_odds_ratio_and_its_interval_are_exact() -> None:
    # Fisher's tea: the conditional estimate is 6.408; P(X = k) is as 1, 16r, 36r^2, 16r^3, r^4, so the ends of the
    # interval solve 39(16r^3 + r^4) = 1 + 16r + 36r^2 and r^4 = 39(1 + 16r + 36r^2 + 16r^3).
    words = Imbalance("side", "removed", "covid", (3, 4), (1, 4)).words(0.4857)
    assert "odds ratio 6.41 (95% interval 0.212 to 626)" in words


# ------------------------------------------------------------ what an exception is


@pytest.mark.parametrize(
    ("policy", "decided", "exception", "held", "filled"),
    [
        (None, "remove", "removed", None, True),
        (None, "keep", None, None, False),
        (None, "review", "review", "review", False),
        ("remove", "remove", None, None, True),
        ("remove", "keep", "kept", None, False),
        ("remove", "review", "review", "review", False),
        ("keep", "remove", "removed", None, True),
        ("review", "remove", "removed", None, True),
        ("review", "review", None, "review", False),
        ("review", "keep", None, None, False),
        ("normalise", "keep", "kept", None, False),
        ("normalise", "remove", None, None, True),
    ],
)
def test_a_region_wins_over_its_line(
    dataset: DatasetVersion, policy: str | None, decided: str, exception: str | None, held: str | None, filled: bool
) -> None:
    from pipeline.cleanse.plan import FILLING, policies

    made = plan(*([policy] if policy else []))
    judged = hold_back(made, sides({1: decided}), dataset, None)
    found = judged.iloc[1]
    assert [None if pd.isna(found[name]) else found[name] for name in ("exception", "held_back")] == [exception, held]
    assert (policies(made, judged)["policy"].iloc[1] in FILLING and pd.isna(found["held_back"])) == filled
    others = hold_back(made, sides({}), dataset, None)
    assert judged.drop(index=1)["held_back"].equals(others.drop(index=1)["held_back"])


def test_a_person_may_remove_from_lungs_and_words_that_are_kept(dataset: DatasetVersion) -> None:
    made = plan("remove").model_copy(update={"keep_words": ("L",)})
    judged = hold_back(made, sides({1: "remove"}), dataset, Lungs("none", 64, {}))
    assert judged["exception"].dropna().to_dict() == {1: "removed"}
    careful = made.lines[0].model_copy(update={"in_lungs": "refuse"})
    judged = hold_back(
        plan().model_copy(update={"lines": (careful,)}), sides({1: "remove"}), dataset, Lungs("none", 64, {})
    )
    assert judged["exception"].dropna().to_dict() == {1: "removed"}
    assert judged["held_back"].isna().tolist() == [number == 1 for number in range(SIDES)]


def test_exceptions_are_part_of_what_a_plan_does(dataset: DatasetVersion, tmp_path: Any) -> None:
    made = plan("remove")
    bare, same, other = (
        recounted(made, hold_back(made, sides(decided), dataset, None), dataset, None)
        for decided in ({}, {1: "remove"}, {1: "keep"})
    )
    assert bare.identity() == made.identity() == same.identity() != other.identity()
    other.write(tmp_path / "plan.yaml")
    assert Plan.read(tmp_path / "plan.yaml") == other
    assert other.exceptions.kept == {"rest": 0, "covid": 1}
    bare.write(tmp_path / "plan.yaml")
    assert "\nexceptions:" not in (tmp_path / "plan.yaml").read_text()
