"""Splits by patient and copy, stratified, deterministic, honouring what a manifest pins."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.config import IngestConfig
from pipeline.errors import InputError
from pipeline.ingest.splits import draw_splits, units

CONFIG = IngestConfig(val_fraction=0.15, test_fraction=0.2)
CLASSES = ("covid", "other")


def table(rows: list[dict]) -> pd.DataFrame:
    defaults = {"label": "covid", "source": "a", "split": None, "patient_id": None, "duplicate_group": None}
    made = pd.DataFrame([{"image_id": f"{i:064d}", **defaults, **row} for i, row in enumerate(rows)])
    made = made.astype(dict.fromkeys(made.columns, "string"))
    return made.assign(unit=units(made, "patient_id", "duplicate_group"))


def drawn(rows: list[dict], seed: int = 0, classes: tuple[str, ...] = CLASSES) -> list[str]:
    return draw_splits(table(rows), classes, CONFIG, seed).tolist()


def many(patients: int = 200, images: int = 3) -> list[dict]:
    """Patients alternate over two classes and, in fours, over three sources in shares 2:1:1."""
    sources = ("a", "b", "a", "c")
    return [
        {"patient_id": f"p{i}", "label": CLASSES[i % 2], "source": sources[i // 2 % 4]}
        for i in range(patients)
        for _ in range(images)
    ]


def test_units_join_over_patients_and_copies():
    rows = [
        {"patient_id": "p1"},
        {"patient_id": "p1", "duplicate_group": "g"},
        {"patient_id": "p2", "duplicate_group": "g"},
        {"patient_id": "p2"},
        {},
        {},
    ]
    numbers = table(rows)["unit"].tolist()
    assert numbers[0] == numbers[1] == numbers[2] == numbers[3]
    assert len({numbers[0], numbers[4], numbers[5]}) == 3, "unknown patients are not one patient"


def test_no_patient_is_in_two_splits_and_fractions_hold():
    rows = many()
    frame = pd.DataFrame(rows).assign(split=drawn(rows))
    assert frame.groupby("patient_id")["split"].nunique().max() == 1
    shares = frame["split"].value_counts(normalize=True)
    assert shares["test"] == pytest.approx(0.2)
    assert shares["val"] == pytest.approx(0.15)


def test_every_class_and_source_has_its_share():
    rows = many(400, 1)
    frame = pd.DataFrame(rows).assign(split=drawn(rows))
    for (_, _), part in frame.groupby(["label", "source"]):
        counts = part["split"].value_counts()
        assert abs(counts["test"] - 0.2 * len(part)) <= 1
        assert abs(counts["val"] - 0.15 * len(part)) <= 1


def test_same_seed_same_splits_whatever_the_order_of_rows():
    made = table(many())
    first = draw_splits(made, CLASSES, CONFIG, 3)
    shuffled = made.sample(frac=1, random_state=1)
    shuffled = shuffled.assign(unit=units(shuffled, "patient_id", "duplicate_group"))
    pd.testing.assert_series_equal(draw_splits(shuffled, CLASSES, CONFIG, 3).sort_index(), first)
    assert first.tolist() != draw_splits(made, CLASSES, CONFIG, 4).tolist()


def test_one_more_patient_moves_few():
    before = drawn(many(200))
    after = drawn([*many(200), {"patient_id": "new"}])[:-1]
    assert np.mean(np.array(before) != np.array(after)) < 0.03


def test_the_smallest_data_set_that_can_be_split():
    rows = [{"label": name} for name in CLASSES for _ in range(3)]
    assert sorted(drawn(rows)) == ["test", "test", "train", "train", "val", "val"]


def test_a_patient_with_both_classes_stays_whole():
    rows = [*many(), {"patient_id": "p0", "label": "other"}]
    splits = drawn(rows)
    assert splits[-1] == splits[0]


def test_pins_are_honoured_and_their_patients_follow():
    rows = [*many(), {"patient_id": "p0", "split": "test"}, {"source": "z", "split": "other_source"}]
    splits = drawn(rows)
    assert splits[:3] == ["test"] * 3
    assert splits[-1] == "other_source"


def test_a_pinned_test_set_is_not_added_to():
    pinned = [{"label": name, "split": "test"} for name in CLASSES]
    splits = drawn([*pinned, *many()])
    assert splits.count("test") == 2
    assert {"train", "val"} == set(splits[2:])


def test_a_patient_pinned_to_two_splits_is_named():
    rows = [*many(), {"patient_id": "ANON191", "split": "train"}, {"patient_id": "ANON191", "split": "test"}]
    with pytest.raises(InputError, match=r"1 patients \(2 images\).* test, train\. .*Correct the split column"):
        drawn(rows)


def test_an_empty_class_is_named_with_counts():
    with pytest.raises(InputError, match=r"No usable image of class 'other'.*\{'covid': 5, 'other': 0\}"):
        drawn([{"label": "covid"}] * 5)


def test_the_other_source_does_not_fill_a_class():
    rows = [*[{"label": "covid"}] * 5, {"label": "other", "split": "other_source"}]
    with pytest.raises(InputError, match="outside the other-source test set"):
        drawn(rows)


def test_one_constant_patient_id_is_explained():
    rows = [{"patient_id": "a:ANONYMOUS", "label": name} for name in CLASSES for _ in range(10)]
    with pytest.raises(InputError, match=r"has 20 of 20 images.* one constant id makes all images one patient"):
        drawn(rows)


def test_two_patients_a_class_are_too_few():
    rows = [{"label": name} for name in CLASSES for _ in range(2)]
    with pytest.raises(InputError, match=r"covid: 0 train, 1 val, 1 test.*3 patients a class"):
        drawn(rows)
