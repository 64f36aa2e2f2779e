"""Thresholds come from validation images alone, and are the best there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve

from pipeline.config import CompareConfig
from pipeline.errors import InputError
from pipeline.report import compare
from pipeline.report.thresholds import best_threshold, choose_thresholds

CLASSES = ("rest", "covid")
Predictions = Callable[..., pd.DataFrame]


def with_validation(simulated: Predictions, shift: float = 0.0) -> pd.DataFrame:
    """Test predictions, and validation predictions whose log-odds are moved by `shift`."""
    test = simulated(n=80, shifts={"raw": {"before": 2.0, "after": 2.0}})
    validation = simulated(n=60, shifts={"raw": {"before": 2.0, "after": 2.0}}, seed=1).assign(condition="validation")
    odds = validation["p_covid"] / validation["p_rest"] * np.exp(shift)
    return pd.concat([test, validation.assign(p_covid=odds / (1 + odds), p_rest=1 / (1 + odds))])


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_has_a_larger_youden_index(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positive = rng.random(40) < 0.5
    scores = np.round(np.clip(rng.normal(0.4 + 0.2 * positive, 0.2), 0, 1), 2)
    called = scores >= best_threshold(scores, positive)
    false_alarms, hits, _ = roc_curve(positive, scores)
    assert called[positive].mean() - called[~positive].mean() == pytest.approx((hits - false_alarms).max())


def test_threshold_lies_midway_and_nearest_to_a_half() -> None:
    assert best_threshold(np.array([0.1, 0.2, 0.4, 0.9]), np.array([False, False, True, True])) == pytest.approx(0.3)
    # 0.35 and 0.85 separate equally well
    scores, positive = np.array([0.3, 0.4, 0.8, 0.9]), np.array([False, True, False, True])
    assert best_threshold(scores, positive) == pytest.approx(0.35)
    assert best_threshold(np.full(3, 0.2), np.array([True, False, True])) == 0.5


def test_decisions_follow_the_validation_images_and_auroc_does_not(simulated: Predictions) -> None:
    plain, moved = (
        compare(with_validation(simulated, shift), "covid", CLASSES, CompareConfig(bootstrap=100))
        for shift in (0.0, 1.5)
    )
    low, high = (each["conditions"]["raw"]["before"] for each in (plain, moved))
    assert high["recall"]["mean"] < low["recall"]["mean"], "moved up by validation alone, the threshold is stricter"
    assert high["specificity"]["mean"] > low["specificity"]["mean"]
    assert high["auroc"] == low["auroc"]
    assert "Youden" in plain["decision"]
    assert list(plain["conditions"]) == ["raw"], "validation is no test"
    assert plain["thresholds"]["before"]["n"] == 60


def test_test_images_do_not_move_thresholds(simulated: Predictions) -> None:
    frame = with_validation(simulated)
    test = frame["condition"] == "raw"
    other = frame.assign(p_covid=frame["p_covid"].where(~test, 0.5), p_rest=frame["p_rest"].where(~test, 0.5))
    first, second = (choose_thresholds(each, "covid", CLASSES, ("before", "after")) for each in (frame, other))
    assert first.values == second.values
    assert len(first.values) == 6


def test_without_validation_a_half_is_taken_and_said(simulated: Predictions) -> None:
    frame = simulated(n=40, shifts={"raw": {"before": 1.0}})
    found = choose_thresholds(frame, "covid", CLASSES, ("before",))
    assert found.decision.startswith("p(covid) >= 0.5; no validation predictions")
    one_class = pd.concat([frame, frame[frame["label"] == "rest"].assign(condition="validation")])
    assert "all of one class" in choose_thresholds(one_class, "covid", CLASSES, ("before",)).decision


def test_some_classifiers_without_validation_is_an_error(simulated: Predictions) -> None:
    frame = with_validation(simulated)
    lacking = frame[(frame["condition"] == "raw") | (frame["arm"] == "before")]
    with pytest.raises(InputError, match="missing for after 0, after 1, after 2"):
        choose_thresholds(lacking, "covid", CLASSES, ("before", "after"))
