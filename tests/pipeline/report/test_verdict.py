"""The words say what the numbers say and no more."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from pipeline.config import CompareConfig
from pipeline.report import compare, verdict
from pipeline.report.verdict import change, direction, interval

Predictions = Callable[..., pd.DataFrame]


def test_a_real_gain_and_an_idle_control(comparison: dict[str, Any]) -> None:
    words = verdict(comparison)
    assert "Before cleansing, moving the marks to the other class took recall from" in words[0]
    assert "recall rose by" in words[0]
    assert "AUROC rose by" in words[0]
    assert "(N = 200)" in words[0]
    assert "the control" in words[1]
    assert "no measurable change in recall, specificity, precision or AUROC" in words[1]
    assert "Removing the marks did better than that: AUROC +" in words[1]


def test_a_drop_on_raw_data_is_explained(comparison: dict[str, Any]) -> None:
    raw = comparison["conditions"]["raw"]["differences"]["after-before"]
    assert direction(raw["auroc"]) < 0, "the simulation must hold a drop"
    text = " ".join(verdict(comparison))
    assert "AUROC fell by" in text
    assert "can be the right result" in text


def test_the_other_source_gap_is_explained_and_few_images_are_named(comparison: dict[str, Any]) -> None:
    text = " ".join(verdict(comparison))
    assert "A gap remains: AUROC" in text
    assert "does not remove the hospital" in text
    assert "Few images: images of another source (40)" in text


def test_no_effect_is_called_no_measurable_change(simulated: Predictions) -> None:
    same = {name: dict.fromkeys(("before", "after", "control"), 1.0) for name in ("raw", "marker_swapped")}
    text = " ".join(verdict(compare(simulated(shifts=same), "covid", ["rest", "covid"], CompareConfig(bootstrap=300))))
    assert text.count("there was no measurable change in recall, specificity, precision or AUROC") == 3
    assert "not measurably better" in text
    assert "right result" not in text
    assert "rose" not in text
    assert "No other-source images were tested" in text


def test_a_missing_control_is_said(comparison: dict[str, Any]) -> None:
    bare = copy.deepcopy(comparison)
    for condition in bare["conditions"].values():
        del condition["control"], condition["differences"]["control-before"], condition["differences"]["after-control"]
    assert any("No random-region control was run" in sentence for sentence in verdict(bare))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"mean": 0.871, "low": 0.812, "high": 0.92}, "0.87 (0.81–0.92)"),
        ({"mean": 0.01, "low": -0.004, "high": 0.02}, "0.010 (−0.004 to 0.020)"),
        ({"mean": 0.5, "low": None, "high": None}, "0.50 (no interval)"),
        ({"mean": None, "low": None, "high": None}, "undefined"),
    ],
)
def test_interval_in_words(value: dict[str, float | None], words: str) -> None:
    assert interval(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"mean": 0.12, "low": 0.05, "high": 0.2}, "+0.12 (+0.05 to +0.20)"),
        ({"mean": -0.12, "low": -0.2, "high": -0.001}, "−0.120 (−0.200 to −0.001)"),
        ({"mean": -0.001, "low": -0.02, "high": 0.02}, "+0.00 (−0.02 to +0.02)"),
        ({"mean": None, "low": None, "high": None}, "undefined"),
    ],
)
def test_change_in_words(value: dict[str, float | None], words: str) -> None:
    assert change(value) == words
