"""Reliability and groups: what is counted, and what chance gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.config import CompareConfig
from pipeline.report import compare
from pipeline.report.groups import age_bands

CLASSES = ("rest", "covid")
CONFIG = CompareConfig(bootstrap=100)
Predictions = Callable[..., pd.DataFrame]


def drawn(sharpen: float, n: int = 2000) -> pd.DataFrame:
    """Labels drawn from p; what is said is p with its log-odds times `sharpen`."""
    rng = np.random.default_rng(0)
    p = rng.random(n)
    said = 1 / (1 + (1 / p - 1) ** sharpen)
    return pd.DataFrame(
        {
            "p_covid": said,
            "p_rest": 1 - said,
            "label": np.where(rng.random(n) < p, "covid", "rest"),
            "arm": "before",
            "seed": 0,
            "condition": "raw",
            "image_id": [f"i{i:04d}" for i in range(n)],
            "patient_id": [f"p{i}" for i in range(n)],
        }
    )


def test_calibrated_probabilities_err_as_chance_does_and_sharpened_ones_more() -> None:
    for sharpen, calibrated in ((1.0, True), (3.0, False)):
        raw = compare(drawn(sharpen), "covid", CLASSES, CONFIG)["conditions"]["raw"]
        chance = raw["calibration"]["before"]["ece_chance"]
        assert (raw["before"]["ece"]["mean"] <= chance["high"]) is calibrated
        if calibrated:  # sqrt(2/pi) of the binomial error of 200 images, averaged over p: 0.8 * (pi / 8) / sqrt(200)
            assert chance["mean"] == pytest.approx(0.022, abs=0.004)


def test_bins_hold_every_prediction_and_their_interval_the_share(simulated: Predictions) -> None:
    raw = compare(simulated(n=100, shifts={"raw": {"before": 1.0}}), "covid", CLASSES, CONFIG)["conditions"]["raw"]
    bins = raw["calibration"]["before"]["bins"]
    assert [each["n"] for each in bins] == [30] * 10
    assert sum(each["n"] * each["positives"]["mean"] for each in bins) == pytest.approx(3 * 50)
    assert [each["probability"] for each in bins] == sorted(each["probability"] for each in bins)
    assert all(b["positives"]["low"] <= b["positives"]["mean"] <= b["positives"]["high"] for b in bins)


def test_groups_are_the_comparison_of_their_images(simulated: Predictions) -> None:
    frame = simulated(n=80, shifts={"raw": {"before": 1.0, "after": 1.5}})
    number = frame["image_id"].str[-4:].astype(int)
    frame = frame.assign(sex=np.where(number < 72, "F", "M"), source="one", view=None, age=30.0)
    groups = compare(frame, "covid", CLASSES, CONFIG)["conditions"]["raw"]["groups"]
    assert [(g["attribute"], g["value"], g["n"], g["patients"]) for g in groups] == [
        ("sex", "F", 72, 36),
        ("sex", "M", 8, 4),
    ]
    alone = compare(frame[number < 72], "covid", CLASSES, CONFIG)["conditions"]["raw"]
    women, men = groups
    assert women["after"]["auroc"]["mean"] == pytest.approx(alone["after"]["auroc"]["mean"])
    expected = alone["differences"]["after-before"]["recall"]["mean"]
    assert women["differences"]["after-before"]["recall"]["mean"] == pytest.approx(expected)
    assert "after" not in men, "eight images are counted, not judged"


def test_a_group_of_one_class_has_recall_and_no_auroc(simulated: Predictions) -> None:
    frame = simulated(n=60, shifts={"raw": {"before": 1.0}})
    frame = frame.assign(source=frame["label"].map({"covid": "ward", "rest": "clinic"}))
    clinic, ward = compare(frame, "covid", CLASSES, CONFIG)["conditions"]["raw"]["groups"]
    assert ward["before"]["recall"]["mean"] is not None
    assert ward["before"]["auroc"] == {"mean": None, "low": None, "high": None}
    assert clinic["before"]["recall"]["mean"] is None
    assert clinic["before"]["specificity"]["low"] is not None


def test_age_bands() -> None:
    ages = pd.Series([0, 19.9, 20, 80, 101, None], dtype="Float64")
    assert age_bands(ages).fillna("?").tolist() == ["0 to 19", "0 to 19", "20 to 39", "80 or more", "80 or more", "?"]
