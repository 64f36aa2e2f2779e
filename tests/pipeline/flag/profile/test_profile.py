"""Whole profiles: planted leaks are named, chance is not, and rows add up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.errors import EmptyResultError
from pipeline.flag.profile import resampling
from pipeline.flag.profile.profile import Profile, profile_dataset, profile_table
from pipeline.flag.profile.roles import guess_roles


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(resampling, "RESAMPLES", 200)
    monkeypatch.setattr(resampling, "PERMUTATIONS", 199)


def study(n: int = 240, seed: int = 0) -> pd.DataFrame:
    """Two images a patient, one class a patient, columns that say nothing."""
    generator = np.random.default_rng(seed)
    patient = np.arange(n) // 2
    return pd.DataFrame(
        {
            "label": np.where(generator.permutation(n // 2) % 2, "covid", "rest")[patient],
            "patient_id": [f"p{number}" for number in patient],
            "source": generator.choice(["x", "y", "z"], n),
            "view": generator.choice(["PA", "AP"], n),
            "sex": generator.choice(["F", "M"], n // 2)[patient],
            "age": generator.integers(20, 90, n // 2)[patient].astype(str),
            "width": generator.integers(800, 1200, n).astype(str),
        }
    )


def profile(table: pd.DataFrame, seed: int = 0) -> Profile:
    return profile_table(table, guess_roles(table), seed)


def strengths(found: Profile) -> dict[str, str]:
    return {record["kind"]: record["strength"] for record in found.records}


def test_a_source_that_decides_the_label_comes_first():
    table = study()
    found = profile(table.assign(source=np.where(table["label"] == "covid", "x", "y")))
    assert found.verdict[0].startswith("source alone gives the label away: AUROC 1.00")
    record = found.records[0]
    assert (record["kind"], record["status"], record["class"]) == ("table/source", "suspected", "covid")
    assert record["association"]["cramers_v"]["mean"] == pytest.approx(1)
    assert record["association"]["mutual_information"]["mean"] == pytest.approx(1, abs=0.01)
    auroc = record["association"]["auroc"]
    assert (auroc["mean"], auroc["n"]) == (1, 240)
    assert 0.9 < auroc["low"] < 1  # 60 patients a class are no proof of 1.00
    assert record["association"]["value"]["prevalence"]["covid"]["mean"] in (0, 1)
    assert set(strengths(found).values()) == {"gives away", "nothing certain"}


def test_missing_values_can_give_the_label_away():
    table = study()
    found = profile(table.assign(sex=table["sex"].where(table["label"] == "covid")))
    assert strengths(found)["table/sex"] == "gives away"
    assert next(r for r in found.records if r["kind"] == "table/sex")["association"]["missing_auroc"]["mean"] == 1
    assert any("whether it is missing" in record["summary"] for record in found.records)


def test_one_exact_size_gives_the_label_away():
    table = study()
    width = table["width"].where(table["label"] == "rest", "1024")
    found = profile(table.assign(width=width.where((width != "1024") | (table["label"] == "covid"), "1023")))
    assert strengths(found)["table/width"] == "gives away"
    record = next(record for record in found.records if record["kind"] == "table/width")
    assert record["association"]["value"]["text"] == "1024"


def test_only_together_width_and_bits_tell():
    table = study(480)
    covid = (table["label"] == "covid").to_numpy()
    coin = np.random.default_rng(1).random(480) < 0.5
    found = profile(table.assign(width=np.where(coin, "900", "1000"), bits=np.where(coin == covid, "8", "16")))
    assert strengths(found)["table/width"] == strengths(found)["table/bits"] == "nothing certain"
    assert found.records[0]["kind"] == "table/container"
    assert found.records[0]["title"] == "The file container (width, bits) alone gives the label away"


@pytest.mark.slow
def test_chance_is_no_leak():
    """Twenty tables whose labels say nothing: of some 140 records hardly any is suspected, none gives anything away."""
    found = [record for seed in range(20) for record in profile(study(160, seed), seed).records]
    assert len(found) > 100
    assert {record["strength"] for record in found} <= {"nothing certain", "tells something"}
    assert sum(record["status"] == "suspected" for record in found) <= 0.05 * len(found)


def test_a_few_patients_prove_little():
    table = study(30)
    found = profile(table.assign(source=np.where(table["label"] == "covid", "x", "y")))
    assert found.patients["smaller_class"] < 20
    assert strengths(found)["table/source"] == "tells something"


def test_neither_order_nor_repeats_of_rows_matter():
    table = study()
    table.loc[5, "label"] = None
    again = pd.concat([table, table.iloc[[7, 8, 9]]]).sample(frac=1, random_state=0)
    first, second = profile(table), profile(again)
    assert second.rows == {"read": 243, "repeated": 3, "unlabelled": 1, "used": 239}
    assert sum(second.rows.values()) == 2 * 243
    pd.testing.assert_frame_equal(first.associations, second.associations)
    assert first.records == second.records
    assert profile(table, seed=1).associations["auroc_low"].tolist() != first.associations["auroc_low"].tolist()


def test_a_column_constant_among_labelled_rows_is_left_out():
    table = study()
    label = table["label"].where(table["source"] == "x")
    found = profile(table.assign(label=label))
    assert "source" not in strengths(found)
    assert found.roles.left_out["source"] == "the same in every labelled row"
    assert found.checks()[0]["value"] is None


def test_values_of_unknown_columns_are_not_repeated():
    table = study()
    found = profile(table.assign(operator=np.where(table["label"] == "covid", "Miller", "Jones")))
    assert strengths(found)["table/operator"] == "gives away"
    assert "Miller" not in json.dumps(found.to_json()) + str(found.levels)


def test_it_can_be_written_as_json():
    table = study(40)
    json.dumps(profile(table.assign(sex=None)).to_json(), allow_nan=False)


def test_one_class_is_an_error():
    table = study(40)
    roles = guess_roles(table)
    with pytest.raises(EmptyResultError, match="Two classes"):
        profile_table(table[table["label"] == "covid"], roles, 0)


def test_a_dataset_version_and_its_report_lines(tmp_path: Path):
    images = pd.DataFrame([dict.fromkeys(IMAGE_COLUMNS)] * 80)
    images["image_id"] = [f"id{n:03d}" for n in range(80)]
    images["label"] = images["label_raw"] = ["covid", "rest"] * 40
    images["patient_id"] = [f"t:p{n // 2}" for n in range(80)]
    images["split"] = ["train"] * 61 + ["test"] * 19
    images["source"] = ["x", "y"] * 40
    images["width"] = [100 + n // 2 % 5 for n in range(80)]
    with write_version(tmp_path / "v", 4, "uint8") as writer:
        writer.write_shard(0, images, np.zeros((80, 4, 4), np.uint8))
        writer.finish(DatasetMeta("t", "v", "T", ("rest", "covid"), "covid", 4, "uint8"), images, 1)
    found = profile_dataset(DatasetVersion(tmp_path / "v"), 0)
    association, source, container, metadata = found.checks()
    assert association["value"]["mean"] == pytest.approx(1)
    assert (source["check"], source["value"]["mean"]) == ("label from source", pytest.approx(1))
    assert container["value"]["low"] <= 0.5  # width is the same in both classes
    assert metadata["value"] is None
    assert "no such column" in metadata["meaning"]
    torn = next(check for check in found.splits if check["check"] == "patients in several splits")
    assert (torn["groups"], torn["patients"], torn["examples"]) == (1, ["t:p30"], [["id060", "id061"]])
