"""Marks against the label: numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.flag.profile.association import mark_association, odds_ratio, wilson

Make = Callable[..., DatasetVersion]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def build(count: int, **columns: list[Any]) -> DatasetVersion:
        table = pd.DataFrame([dict.fromkeys(IMAGE_COLUMNS)] * count)
        table["image_id"] = [f"id{n:03d}" for n in range(count)]
        table["label"] = ["covid" if n % 2 else "rest" for n in range(count)]
        table["split"] = "train"
        for name, values in columns.items():
            table[name] = values
        with write_version(tmp_path / "v", 4, "uint8") as writer:
            writer.write_shard(0, table, np.zeros((count, 4, 4), np.uint8))
            writer.finish(DatasetMeta("t", "v", "T", ("rest", "covid"), "covid", 4, "uint8"), table, 1)
        return DatasetVersion(tmp_path / "v")

    return build


def marks(numbers: list[int], kind: str = "side", text: str | None = "L") -> pd.DataFrame:
    return pd.DataFrame({"image_id": [f"id{n:03d}" for n in numbers], "kind": kind, "text": text})


def test_odds_ratio_by_hand() -> None:
    ratio, low, high = odds_ratio(8, 2, 1, 9)
    assert ratio == pytest.approx(8.5 * 9.5 / (2.5 * 1.5))
    reach = 1.959964 * np.sqrt(1 / 8.5 + 1 / 2.5 + 1 / 1.5 + 1 / 9.5)
    assert (low, high) == pytest.approx((ratio * np.exp(-reach), ratio * np.exp(reach)), rel=1e-6)
    assert np.isfinite(odds_ratio(5, 0, 0, 5)).all()


def test_wilson_by_hand() -> None:
    z2 = 1.959964**2
    assert wilson(0, 10) == pytest.approx((0, z2 / (10 + z2)), abs=1e-6)
    assert wilson(0, 0) == (0.0, 1.0)


def test_association_counts_images_not_regions(make: Make) -> None:
    dataset = make(40, split=["train"] * 20 + ["test"] * 20)
    found = mark_association(dataset, marks([1, 1, 3, 5, 7, 9, 11, 13, 15, 0, 21, 23, 25]))  # 8 of 10 covid, 1 of 10
    row = found[(found["kind"] == "side") & found["text"].isna() & (found["class"] == "covid")].iloc[0]
    assert (row["marked"], row["total"], row["marked_other"], row["total_other"]) == (8, 10, 1, 10)
    assert row["odds_ratio"] == pytest.approx(odds_ratio(8, 2, 1, 9)[0])
    assert row["p_value"] == pytest.approx(stats.fisher_exact([[8, 2], [1, 9]])[1])
    assert (row["prevalence_low"], row["prevalence_high"]) == pytest.approx(wilson(8, 10))
    assert (found["q_value"] >= found["p_value"]).all()
    assert set(found["kind"]) == {"side", "mark"}


def test_texts_stand_alone_only_on_five_images(make: Make) -> None:
    regions = pd.concat([marks([1, 3, 5, 7, 9]), marks([0, 2, 4, 6], text="R"), marks([1, 2], "date", None)])
    found = mark_association(make(40), regions)
    keys = found[["kind", "text"]].drop_duplicates().fillna("-").itertuples(index=False, name=None)
    assert list(keys) == [("date", "-"), ("side", "-"), ("side", "L"), ("mark", "-")]


def test_no_regions_give_an_empty_table(make: Make) -> None:
    assert len(mark_association(make(4), marks([]))) == 0
