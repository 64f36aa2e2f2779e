"""What is kept, and what is refused why, when pictures are there more than once."""

from __future__ import annotations

import pandas as pd

from pipeline.ingest.repeats import drop_repeats

CONFLICTING, DUPLICATE = "conflicting-label", "duplicate"


def resolve(*rows: dict) -> tuple[dict[str, str | None], dict[str, tuple[str, str]]]:
    """Kept path -> duplicate group, refused path -> (reason, detail)."""
    defaults = {"label": "covid", "split": None, "patient_id": None, "duplicate_group": None}
    table = pd.DataFrame([{"path": f"{i}.png", "image_id": f"id{i}", **defaults, **row} for i, row in enumerate(rows)])
    kept, problems = drop_repeats(table.astype(dict.fromkeys(table.columns, "string")))
    assert len(kept) + len(problems) == len(rows)
    groups = kept["duplicate_group"].astype(object).where(kept["duplicate_group"].notna(), None)
    refused = zip(problems["reason"], problems["detail"], strict=True)
    return dict(zip(kept["path"], groups, strict=True)), dict(zip(problems["path"], refused, strict=True))


SAME = {"image_id": "same", "duplicate_group": "g"}
NEAR = {"duplicate_group": "g"}


def test_pictures_that_stand_alone_are_kept():
    assert resolve({}, {}, {}) == ({"0.png": None, "1.png": None, "2.png": None}, {})


def test_the_first_identical_copy_is_kept_and_its_group_ends():
    kept, refused = resolve({**SAME, "path": "b"}, {**SAME, "path": "a"})
    assert kept == {"a": None}
    assert refused == {"b": (DUPLICATE, "the same pixels as a")}


def test_of_identical_copies_the_one_with_a_patient_is_kept():
    kept, _ = resolve(SAME, {**SAME, "patient_id": "s:1"})
    assert kept == {"1.png": None}


def test_identical_pixels_with_two_labels_are_all_refused():
    kept, refused = resolve(SAME, {**SAME, "label": "other"}, {})
    assert list(kept) == ["2.png"]
    assert refused == {path: (CONFLICTING, "the same pixels are labelled covid, other") for path in ("0.png", "1.png")}


def test_near_duplicates_stay_and_share_a_group():
    kept, refused = resolve(NEAR, NEAR, {})
    assert kept == {"0.png": "g", "1.png": "g", "2.png": None}
    assert not refused


def test_a_copy_of_an_other_source_image_is_not_trained_on():
    for copy in (NEAR, {**NEAR, "split": "train"}, {**NEAR, "split": "test"}):
        kept, refused = resolve(copy, {**NEAR, "split": "other_source"})
        assert kept == {"1.png": None}
        assert refused == {"0.png": (DUPLICATE, "same exposure or patient as the held-out 1.png")}


def test_nor_are_other_images_of_the_copied_patient():
    kept, _ = resolve({"patient_id": "s:1"}, {**NEAR, "patient_id": "s:1"}, {**NEAR, "split": "other_source"}, {})
    assert list(kept) == ["2.png", "3.png"]


def test_near_duplicates_across_pinned_splits_leave_training():
    kept, refused = resolve({**NEAR, "split": "train"}, {**NEAR, "split": "test"}, {**NEAR, "split": "test"}, NEAR)
    assert kept == {"1.png": "g", "2.png": "g", "3.png": "g"}
    assert refused["0.png"][0] == DUPLICATE


def test_copies_make_two_patients_one_person():
    rows = [{"patient_id": "a:1"}, {**SAME, "patient_id": "a:1"}, {**SAME, "patient_id": "b:7"}, {"patient_id": "b:7"}]
    table = pd.DataFrame(
        [{"path": f"{i}", "image_id": f"id{i}", "label": "covid", "split": None, **row} for i, row in enumerate(rows)]
    )
    kept, _ = drop_repeats(table.astype(dict.fromkeys(table.columns, "string")))
    assert len(kept) == 3
    assert len(set(kept["unit"])) == 1
