"""Copies and patients over splits: counted, shown as rows, patients named only where that is allowed."""

from __future__ import annotations

import pandas as pd

from pipeline.flag.profile.roles import Roles
from pipeline.flag.profile.splits import split_checks

TABLE = pd.DataFrame(
    {
        "sha256": ["a", "b", "b", "c", "d", "e", "e"],
        "label": ["x", "x", "y", "x", "y", "y", "y"],
        "patient": ["p1", "p1", None, "p2", "p2", "p3", "p3"],
        "split": ["train", "train", "train", "train", "test", "test", "test"],
        "group": ["g", None, None, None, "g", None, None],
    }
)
ROLES = Roles(label="label", positive="x", group="patient", split="split", copies="sha256", near="group")
NAMES = [f"row {n}" for n in range(1, 8)]


def checks(table: pd.DataFrame = TABLE, roles: Roles = ROLES, *, pseudonyms: bool = False) -> dict[str, dict]:
    return {check["check"]: check for check in split_checks(table, roles, NAMES, pseudonyms=pseudonyms)}


def test_each_check_counts_groups_and_rows():
    found = checks()
    counts = {name: (check["groups"], check["rows"]) for name, check in found.items()}
    assert counts == {
        "repeated rows": (1, 1),
        "pictures with several labels": (1, 2),
        "pictures in several splits": (0, 0),
        "near duplicates in several splits": (1, 2),
        "patients in several splits": (1, 2),
        "patients with several labels": (1, 2),
    }
    assert found["patients in several splits"]["examples"] == [["row 4", "row 5"]]
    assert found["repeated rows"]["examples"] == [["row 7"]]


def test_two_labels_of_a_patient_are_no_problem():
    kinds = {name: check["kind"] for name, check in checks().items()}
    assert kinds.pop("patients with several labels") == "information"
    assert set(kinds.values()) == {"problem"}


def test_patients_are_named_only_if_they_may_be():
    assert "p2" not in str(checks())
    assert checks(pseudonyms=True)["patients in several splits"]["patients"] == ["p2"]


def test_what_no_column_says_is_not_known():
    found = checks(TABLE.drop(columns="split"), Roles(label="label", positive="x", group="patient"))
    assert found["patients in several splits"]["groups"] is None
    assert found["patients in several splits"]["meaning"] == "not known: no column says a split"
    assert found["pictures in several splits"]["meaning"] == "not known: no column says what to group by or a split"


def test_rows_of_both_sides_are_shown_of_a_large_group():
    table = pd.DataFrame({"patient": ["p"] * 7, "split": ["train"] * 6 + ["test"], "label": ["x"] * 7})
    found = checks(table, Roles(label="label", positive="x", group="patient", split="split"))
    assert found["patients in several splits"]["examples"] == [["row 1", "row 7", "row 2", "row 3"]]
