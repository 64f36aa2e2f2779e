"""Subgroup metrics worked out by hand, and planted pockets of errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.flag.behaviour.slices import error_slices
from pipeline.flag.behaviour.subgroups import attributes, subgroup_table

SIZE, COUNT = 4, 240
CLASSES = ("rest", "covid")
NUMBER = np.arange(COUNT)
NO_REGIONS = pd.DataFrame({name: pd.Series(dtype="string") for name in ("region_id", "image_id", "kind")})


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetVersion:
    table = pd.DataFrame([{**dict.fromkeys(IMAGE_COLUMNS), "split": "test"} for _ in range(COUNT)])
    table["image_id"] = [f"id{n:03d}" for n in NUMBER]
    table["label"] = np.array(CLASSES)[NUMBER % 2]
    table["source"] = np.array(["a", "b", "c"])[NUMBER // 2 % 3]
    table["sex"] = np.array(["F", "M"])[NUMBER // 6 % 2]
    table["age"] = np.where(NUMBER < 30, np.nan, NUMBER % 97)
    table.loc[NUMBER >= 236, "source"] = None
    with write_version(tmp_path / "v", SIZE, "uint8") as writer:
        writer.write_shard(0, table, np.zeros((COUNT, SIZE, SIZE), np.uint8))
        writer.finish(DatasetMeta("t", "v", "T", CLASSES, "covid", SIZE, "uint8"), table, 1)
    return DatasetVersion(tmp_path / "v")


def predictions(wrong: np.ndarray) -> pd.DataFrame:
    covid = np.where((NUMBER % 2 == 1) ^ wrong, 0.9, 0.1)
    return pd.DataFrame({"image_id": [f"id{n:03d}" for n in NUMBER], "p_rest": 1 - covid, "p_covid": covid})


def marks(images: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"region_id": images.astype(str), "image_id": [f"id{n:03d}" for n in images], "kind": "side"})


def test_metrics_by_hand(dataset: DatasetVersion) -> None:
    wrong = np.zeros(COUNT, dtype=bool)
    wrong[:12] = True  # 6 covid called rest, 6 rest called covid
    found = subgroup_table(dataset, predictions(wrong), NO_REGIONS, 0).set_index(["attribute", "value"])
    whole = found.loc[("all", "all")]
    assert whole[["n", "patients", "positives", "precision_n", "recall_n"]].tolist() == [240, 240, 120, 120, 120]
    assert whole["precision"] == whole["recall"] == pytest.approx(114 / 120)
    assert whole["auroc"] == pytest.approx(0.95**2 + 2 * 0.95 * 0.05 / 2)
    assert 0.88 < whole["recall_low"] < whole["recall"] < whole["recall_high"] < 1
    assert found.loc[("age", "unknown"), "n"] == 30
    assert found.loc[("age", "80 or more"), "n"] == sum(n % 97 >= 80 for n in range(30, COUNT))
    assert found.loc[("sex", "F"), "recall"] == pytest.approx(1 - 3 / 60)


def test_small_or_one_sided_groups_are_not_judged(dataset: DatasetVersion) -> None:
    found = subgroup_table(dataset, predictions(np.zeros(COUNT, dtype=bool)), marks(NUMBER[NUMBER % 4 == 1]), 0)
    found = found.set_index(["attribute", "value"])
    few = found.loc[("source", "unknown")]
    assert few["n"] == 4
    assert few[["precision", "recall_low", "auroc"]].isna().all()
    covid_only = found.loc[("side on image", "yes")]
    assert covid_only["recall"] == covid_only["recall_high"] == 1
    assert covid_only["recall_low"] == pytest.approx(60 / (60 + 1.96**2), abs=1e-3)  # Wilson, 60 of 60
    assert pd.isna(covid_only["auroc"])
    assert pd.isna(covid_only["auroc_low"])


def test_attributes_are_text_in_the_order_of_the_rows(dataset: DatasetVersion) -> None:
    found = attributes(dataset, np.array([239, 31]), marks(np.array([31])))
    assert found.to_dict("records") == [
        {
            "source": "unknown",
            "view": "unknown",
            "sex": "M",
            "manufacturer": "unknown",
            "age": "40 to 59",
            "side on image": "no",
        },
        {
            "source": "a",
            "view": "unknown",
            "sex": "M",
            "manufacturer": "unknown",
            "age": "20 to 39",
            "side on image": "yes",
        },
    ]


def test_a_planted_pocket_is_told_as_the_pair_it_is(dataset: DatasetVersion) -> None:
    pocket = (NUMBER // 2 % 3 == 1) & (NUMBER // 6 % 2 == 0) & (NUMBER < 236)
    wrong = (pocket & (np.random.default_rng(0).random(COUNT) < 0.7)) | (np.random.default_rng(1).random(COUNT) < 0.05)
    (first, *others) = error_slices(dataset, predictions(wrong), NO_REGIONS, 0, 0.05)
    assert first["conditions"] == [{"attribute": "source", "value": "b"}, {"attribute": "sex", "value": "F"}]
    assert first["words"] == "source: b and sex: F"
    assert (first["n"], first["errors"]) == (pocket.sum(), (wrong & pocket).sum())
    assert first["lift"]["low"] > 3
    assert first["q"] < 0.01
    assert all(each["lift"]["low"] < first["lift"]["low"] for each in others)
    assert not [each for each in others if set(map(str, first["conditions"])) < set(map(str, each["conditions"]))]


def test_a_single_condition_is_not_repeated_as_pairs(dataset: DatasetVersion) -> None:
    marked = NUMBER[NUMBER % 5 == 0]
    wrong = np.isin(NUMBER, marked) & (np.random.default_rng(2).random(COUNT) < 0.6)
    found = error_slices(dataset, predictions(wrong), marks(marked), 0, 0.05)
    assert found[0]["words"] == "side on image: yes"
    assert sum("side on image: yes" in each["words"] for each in found) == 1


def test_scattered_errors_and_no_errors_tell_nothing(dataset: DatasetVersion) -> None:
    scattered = np.random.default_rng(4).random(COUNT) < 0.2
    assert error_slices(dataset, predictions(scattered), NO_REGIONS, 0, 0.05) == []
    assert error_slices(dataset, predictions(np.zeros(COUNT, dtype=bool)), NO_REGIONS, 0, 0.05) == []
