"""Columns by their names in public data sets, and what is never looked at."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import InputError
from pipeline.flag.profile.roles import class_names, compared, guess_roles, numbers_in, with_extension


def table(**columns: list) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype="string")


def test_names_of_nih_are_understood():
    frame = pd.DataFrame(
        {
            "Image Index": [f"{n:08d}_000.png" for n in range(40)],
            "Finding Labels": ["Pneumonia|Edema", "No Finding"] * 20,
            "Patient ID": [str(n // 2) for n in range(40)],
            "View Position": ["PA", "AP", "AP", "PA"] * 10,
            "OriginalImage[Width": [str(2000 + n % 3) for n in range(40)],
            "Follow-up #": [str(n % 4) for n in range(40)],
        }
    )
    roles = guess_roles(frame)
    assert (roles.label, roles.positive, roles.group) == ("Finding Labels", "Pneumonia", "Patient ID")
    assert roles.features == {"View Position": "metadata", "OriginalImage[Width": "container", "Follow-up #": "other"}
    assert roles.left_out == {"Image Index": "it identifies images, patients or studies"}
    assert roles.copies == "Image Index"


def test_identifiers_constants_and_free_text_are_no_features():
    n = 60
    frame = table(
        label=["a", "b"] * 30,
        study_uid=[f"1.2.{i // 3}" for i in range(n)],
        sha256=[f"{i:064x}" for i in range(n)],
        operator=[f"name {i}" for i in range(n)],
        row_number=[str(i) for i in range(n)],
        notes=["x", "y"] * 30,
        remark=["a sentence of more than thirty characters", "another one of such sentences, as they are"] * 30,
        modality=["CR"] * n,
        sex=[None] * n,
        label_raw=["A", "B"] * 30,
        temperature=[f"{36 + i / 50:.2f}" for i in range(n)],
        age=[str(i) for i in range(n)],
    )
    roles = guess_roles(frame)
    assert set(roles.features) == {"temperature", "age"}
    assert roles.left_out["operator"] == roles.left_out["row_number"] == "different in most rows"
    assert roles.left_out["remark"] == "free text"
    assert roles.left_out["modality"] == "the same in every row"
    assert roles.left_out["sex"] == "empty"
    assert roles.left_out["label_raw"] == "it restates the label"
    assert set(frame.columns) == {"label", *roles.features, *roles.left_out}


def test_what_is_given_is_not_guessed():
    frame = table(label=["a", "b"] * 20, outcome=["x", "y"] * 20, ward=["1", "2"] * 20, notes=["p", "q"] * 20)
    roles = guess_roles(frame, label="outcome", positive="x", group="ward", columns=["notes"])
    assert (roles.label, roles.positive, roles.group, roles.features) == ("outcome", "x", "ward", {"notes": "other"})


@pytest.mark.parametrize(
    ("columns", "options", "expected"),
    [
        ({"outcome": ["x", "y"], "id": ["1", "2"]}, {}, "candidates are outcome, id"),
        ({"label": ["x", "y"]}, {"label": "lable"}, "Did you mean 'label'"),
        ({"label": ["x", "y"]}, {"positive": "z"}, "no class 'z'"),
        ({"label": ["x", "x"]}, {}, "1 class"),
        ({"label": ["x", "y", "z"]}, {}, "Say it with --positive: x, y, z"),
        ({"label": ["x", "y"]}, {"columns": ["view"]}, "No column 'view'"),
    ],
)
def test_what_cannot_be_guessed_is_asked_for(columns, options, expected):
    with pytest.raises(InputError, match=expected):
        guess_roles(table(**columns), **options)


def test_the_rarer_of_two_unknown_classes_is_the_positive_one():
    assert guess_roles(table(label=["x", "x", "y"])).positive == "y"


def test_several_labels_in_a_cell_make_one_against_the_rest():
    labels = pd.Series(["Edema|Pneumonia", "Pneumonia", "Edema", None, "Not Pneumonia"], dtype="string")
    assert class_names(labels) == ["Edema", "Pneumonia", "Not Pneumonia"]
    found = compared(labels, "Pneumonia").fillna("?").tolist()
    assert found == ["Pneumonia", "Pneumonia", "the rest", "?", "the rest"]
    assert compared(labels.iloc[[1, 2]], "Pneumonia").tolist() == ["Pneumonia", "Edema"]


def test_the_extension_is_that_of_the_file_as_downloaded():
    frame = table(path=["a/1.jpg", "b/2.jpg"], original_name=["x.PNG", "485-.jpeg"])
    assert with_extension(frame)["extension"].tolist() == ["png", "jpeg"]
    assert with_extension(table(path=["a/1.jpg", "b/2.png"], original_name=["x", "y"]))["extension"].tolist() == [
        "jpg",
        "png",
    ]
    named = table(file_format=["PNG", "JPEG"], path=["1.jpg", "2.jpg"])
    assert list(with_extension(named).columns) == ["file_format", "path"]


def test_numbers_are_read_from_text():
    found = numbers_in(pd.Series(["057Y", "12", "50+", None, "3.5", "8"], dtype="string"))
    assert found is not None
    np.testing.assert_equal(found, [57, 12, np.nan, np.nan, 3.5, 8])
    assert numbers_in(pd.Series(["50+", "12"], dtype="string")) is None
    assert numbers_in(pd.Series([None, None], dtype="string")) is None
