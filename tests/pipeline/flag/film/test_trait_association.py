"""Traits against the label: areas worked out by hand, a planted tie, none where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.flag.film.trait_association import COLUMNS, Tie, tied_traits, trait_association, trait_leakage
from pipeline.flag.film.traits import TRAITS
from pipeline.flag.film.traits_dataset import TRAIT_COLUMNS
from pipeline.statistics import Floats


def version(folder: Path, labels: list[str], patients: list[str | None] | None = None) -> DatasetVersion:
    table = pd.DataFrame([dict.fromkeys(IMAGE_COLUMNS)] * len(labels))
    table["image_id"] = [f"id{n:03d}" for n in range(len(labels))]
    table["label"], table["split"], table["patient_id"] = labels, "train", patients
    with write_version(folder, 4, "uint8") as writer:
        writer.write_shard(0, table, np.zeros((len(labels), 4, 4), np.uint8))
        writer.finish(DatasetMeta("t", "v", "T", ("rest", "covid"), "covid", 4, "uint8"), table, 1)
    return DatasetVersion(folder)


def measured(count: int, **columns: list[float] | Floats) -> pd.DataFrame:
    table = pd.DataFrame({"image_id": [f"id{n:03d}" for n in range(count)], **dict.fromkeys(TRAITS, 0.5)})
    return table.assign(**columns).astype(TRAIT_COLUMNS)


def row(table: pd.DataFrame, trait: str, name: str) -> pd.Series:
    return table[(table["trait"] == trait) & (table["class"] == name)].iloc[0]


def test_area_and_medians_by_hand(tmp_path: Path) -> None:
    dataset = version(tmp_path / "v", ["covid"] * 3 + ["rest"] * 3)
    found = trait_association(dataset, measured(6, noise=[0.3, 0.5, 0.7, 0.1, 0.3, 0.6]), seed=0)
    assert {name: str(kind) for name, kind in found.dtypes.items()} == COLUMNS
    assert len(found) == 2 * len(TRAITS)
    # Of nine pairs covid is larger in (0.3: 1, 0.5: 2, 0.7: 3) and equal in one.
    assert row(found, "noise", "covid")["auroc"] == pytest.approx(6.5 / 9)
    assert row(found, "noise", "rest")["auroc"] == pytest.approx(2.5 / 9)
    assert (row(found, "noise", "covid")[["median_class", "median_other"]] == [0.5, 0.3]).all()
    assert row(found, "exposure", "covid")["auroc"] == 0.5


def test_a_tied_trait_stands_out_and_the_others_do_not(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    labels = ["covid" if n % 2 else "rest" for n in range(200)]
    tied = generator.normal(0.5, 0.1, 200) + 0.1 * (np.arange(200) % 2)
    traits = measured(200, **{name: generator.random(200) for name in TRAITS} | {"exposure": tied})
    dataset = version(tmp_path / "v", labels)
    found = trait_association(dataset, traits, seed=0)
    strong = found[(found["q_value"] <= 0.01)]
    assert set(strong["trait"]) == {"exposure"}
    assert row(found, "exposure", "covid")["auroc_low"] > 0.6
    assert row(found, "exposure", "rest")["auroc_high"] < 0.4
    together = trait_leakage(dataset, traits, seed=0)["value"]
    assert together["low"] > 0.55
    assert together["n"] == 200


def test_many_images_of_one_patient_count_once_in_p(tmp_path: Path) -> None:
    labels = ["covid"] * 50 + ["rest"] * 50
    traits = measured(100, noise=[0.9] * 50 + [0.1] * 50)
    few = version(tmp_path / "few", labels, ["a"] * 50 + ["b"] * 50)
    many = version(tmp_path / "many", labels, [f"p{n}" for n in range(100)])
    assert row(trait_association(few, traits, seed=0), "noise", "covid")["p_value"] == 1
    assert row(trait_association(many, traits, seed=0), "noise", "covid")["p_value"] < 1e-9


def test_unknown_values_count_nowhere(tmp_path: Path) -> None:
    dataset = version(tmp_path / "v", ["covid", "rest"] * 4)
    found = trait_association(dataset, measured(8, noise=[0.9, 0.1, np.nan, 0.2, 0.8, np.nan, 0.7, 0.3]), seed=0)
    assert row(found, "noise", "covid")[["n", "n_class"]].tolist() == [6, 3]
    assert row(found, "noise", "covid")["auroc"] == 1


def test_a_patient_is_never_in_both_folds(tmp_path: Path) -> None:
    # Each patient has a value of its own and one label: learnable only from the patient's other images.
    patient = np.arange(160) // 4
    label = np.where(np.random.default_rng(0).permutation(40) % 2, "covid", "rest")[patient]
    dataset = version(tmp_path / "v", label.tolist(), [f"p{n}" for n in patient])
    traits = measured(160, noise=np.random.default_rng(1).random(40)[patient])
    assert trait_leakage(dataset, traits, seed=0)["value"]["low"] < 0.6


def test_constant_traits_say_nothing(tmp_path: Path) -> None:
    found = trait_leakage(version(tmp_path / "v", ["covid", "rest"] * 4), measured(8), seed=0)
    assert found["value"] is None
    assert "constant" in found["meaning"]


def test_results_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    dataset = version(tmp_path / "v", ["covid", "rest"] * 20)
    traits = measured(40, noise=np.random.default_rng(0).random(40), exposure=np.random.default_rng(1).random(40))
    pd.testing.assert_frame_equal(
        trait_association(dataset, traits, seed=3), trait_association(dataset, traits.iloc[::-1], seed=3)
    )
    assert trait_leakage(dataset, traits, seed=3) == trait_leakage(dataset, traits.iloc[::-1], seed=3)


def test_only_strong_ties_of_movable_traits_are_worth_a_test() -> None:
    rows = [
        ("exposure", "rest", 0.1, 0.05, 0.2, 0.001),
        ("exposure", "covid", 0.9, 0.8, 0.95, 0.001),
        ("contrast", "covid", 0.68, 0.58, 0.75, 0.001),  # too weak
        ("noise", "covid", 0.9, 0.7, 1.0, 0.2),  # not significant
        ("entropy", "covid", 0.99, 0.95, 1.0, 0.001),  # cannot be moved
        ("sharpness", "covid", 0.1, 0.05, 0.3, 0.001),
    ]
    names = ["trait", "class", "auroc", "auroc_low", "auroc_high", "q_value"]
    table = pd.DataFrame(rows, columns=names).assign(median_class=0.7, median_other=0.4)
    assert tied_traits(table, 0.05, "covid") == [
        Tie("exposure", "covid", 0.7, 0.4),
        Tie("sharpness", "covid", 0.7, 0.4),
    ]
    assert tied_traits(table, 0.05, "rest")[0].target == "rest"
    assert tied_traits(table.iloc[:0], 0.05, "covid") == []
