"""Means, intervals and paired differences against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.benchmark.table import summarise

IMAGES = 6


def measured(**methods):
    """A table of one metric `m`; method -> values."""
    parts = [
        pd.DataFrame(
            {
                "explainer": name,
                "image_id": [f"i{number}" for number in range(IMAGES)],
                "patient_id": [f"p{number}" for number in range(IMAGES)],
                "error": None,
                "m": pd.array(values, dtype="Float64"),
            }
        )
        for name, values in methods.items()
    ]
    return pd.concat(parts, ignore_index=True)


def rows(**methods):
    return summarise(measured(**methods), ["m"]).set_index("explainer")


def test_a_constant_difference_is_certain_although_the_means_are_not():
    base = np.array([0.1, 0.9, 0.4, 0.2, 0.8, 0.6])
    table = rows(**{"igos++": base, "other": base + 0.25})
    assert table.index.tolist() == ["igos++", "other"]
    other = table.loc["other"]
    assert other["m"] == pytest.approx(base.mean() + 0.25)
    assert other["m_low"] < base.mean() + 0.2
    assert other[["m_difference", "m_difference_low", "m_difference_high"]].tolist() == pytest.approx([0.25] * 3)
    assert pd.isna(table.loc["igos++", "m_difference"])


def test_nulls_are_left_out_and_the_number_of_images_says_so():
    table = rows(**{"igos++": [1, 1, None, 1, 1, 1], "other": [None, 2, 2, 2, None, 2], "none": [None] * IMAGES})
    assert table["m_n"].tolist() == [5, 4, 0]
    assert table.loc["other", "m"] == 2
    assert table.loc["other", "m_difference"] == 1
    assert table.loc["none"].drop(["images", "failed", "m_n"]).isna().all()


def test_the_interval_covers_the_mean_of_the_population():
    inside = 0
    for draw in range(40):
        values = np.random.default_rng(draw).normal(3.0, 1.0, IMAGES)
        row = rows(a=values).loc["a"]
        inside += row["m_low"] <= 3.0 <= row["m_high"]
    assert 30 <= inside <= 39  # six images: percentile intervals are known to be too short


def test_whole_patients_are_drawn():
    values = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    table = measured(a=values)
    alone = summarise(table, ["m"]).loc[0]
    table["patient_id"] = ["p0"] * 3 + ["p1"] * 3
    together = summarise(table, ["m"]).loc[0]
    assert (together["m_low"], together["m_high"]) == (0, 1)
    assert alone["m_low"] > 0


def test_failures_are_counted_and_without_a_reference_there_is_no_difference():
    table = measured(a=[1.0] * IMAGES, b=[None] * IMAGES)
    table.loc[table["explainer"] == "b", "error"] = "ValueError: no"
    found = summarise(table, ["m"]).set_index("explainer")
    assert found["failed"].tolist() == [0, IMAGES]
    assert found["images"].tolist() == [IMAGES, IMAGES]
    assert found["m_difference"].isna().all()


def test_order_of_images_does_not_matter():
    table = measured(a=np.arange(IMAGES) / 10, b=np.arange(IMAGES)[::-1] / 7)
    pd.testing.assert_frame_equal(
        summarise(table, ["m"]), summarise(table.iloc[[*range(5, -1, -1), *range(6, 12)]], ["m"])
    )
