"""Metrics against scikit-learn, the calibration error by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sklearn_metrics

from pipeline.config import CompareConfig
from pipeline.report.metrics import calibration_error, measure, metric_names
from pipeline.report.predictions import Tested as Answers
from pipeline.report.predictions import align
from pipeline.statistics import equal_mass_bins


def made(classes: tuple[str, ...], n: int) -> tuple[Answers, pd.DataFrame]:
    rng = np.random.default_rng(len(classes))
    labels = rng.integers(0, len(classes), n)
    logits = rng.normal(size=(n, len(classes))) + np.eye(len(classes))[labels]
    values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    frame = pd.DataFrame(values, columns=[f"p_{name}" for name in classes]).assign(
        arm="before",
        seed=0,
        image_id=[f"i{i:03d}" for i in range(n)],
        patient_id=[f"p{i // 2}" for i in range(n)],
        label=[classes[number] for number in labels],
    )
    return align(frame, "raw", classes[-1], classes, ("before",), {("before", 0): 0.4}), frame


def test_two_classes_at_their_threshold_agree_with_sklearn() -> None:
    data, frame = made(("rest", "covid"), 90)
    truth, scores = (frame["label"] == "covid").to_numpy(), frame["p_covid"].to_numpy()
    called = scores >= 0.4
    found = dict(zip(metric_names(2), measure(data, np.ones((1, 90)))[0, :, 0, 0], strict=True))
    assert found == pytest.approx(
        {
            "precision": sklearn_metrics.precision_score(truth, called),
            "recall": sklearn_metrics.recall_score(truth, called),
            "specificity": sklearn_metrics.recall_score(~truth, ~called),
            "f1": sklearn_metrics.f1_score(truth, called),
            "auroc": sklearn_metrics.roc_auc_score(truth, scores),
            "brier": sklearn_metrics.brier_score_loss(truth, scores),
            "ece": found["ece"],
        }
    )


def test_three_classes_have_macro_f1_and_take_the_likeliest() -> None:
    data, frame = made(("rest", "flu", "covid"), 90)
    winners = frame[["p_rest", "p_flu", "p_covid"]].to_numpy().argmax(axis=1)
    called = np.array(["rest", "flu", "covid"])[winners]
    found = dict(zip(metric_names(3), measure(data, np.ones((1, 90)))[0, :, 0, 0], strict=True))
    assert found["macro_f1"] == pytest.approx(sklearn_metrics.f1_score(frame["label"], called, average="macro"))
    assert found["recall"] == pytest.approx(sklearn_metrics.recall_score(frame["label"] == "covid", called == "covid"))


def test_weights_are_repetition() -> None:
    data, _ = made(("rest", "covid"), 40)
    weights = np.random.default_rng(0).integers(0, 3, (3, 40)).astype(float)
    found = measure(data, weights)[0, :, 0]
    for row, values in zip(weights, found.T, strict=True):
        rows = np.repeat(np.arange(40), row.astype(int))
        truth, run = data.positive[rows], data.runs["before"][0]
        assert values[0] == pytest.approx(sklearn_metrics.precision_score(truth, run.called[rows]))
        assert values[2] == pytest.approx(sklearn_metrics.recall_score(~truth, ~run.called[rows]))
        assert values[5] == pytest.approx(sklearn_metrics.brier_score_loss(truth, run.scores[rows]))


def test_calibration_error_by_hand() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.6, 0.8, 1.0])
    labels = np.array([0.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    bins = equal_mass_bins(scores, 2)
    # bin 0: mean probability 0.2, share 1/3; bin 1: 0.8 and 2/3; three of six images each
    expected = 0.5 * (1 / 3 - 0.2) + 0.5 * (0.8 - 2 / 3)
    assert calibration_error(labels, scores, bins, np.ones((1, 6)))[0] == pytest.approx(expected)
    # the first image alone, three times: |0 - 0.1|
    assert calibration_error(labels, scores, bins, np.array([[3.0, 0, 0, 0, 0, 0]]))[0] == pytest.approx(0.1)


def test_interval_of_the_calibration_error_holds_it(simulated) -> None:  # type: ignore[no-untyped-def]
    from pipeline.report import compare

    shifts = {"raw": {"before": 2.0}}
    found = compare(simulated(shifts=shifts, n=80), "covid", ("rest", "covid"), CompareConfig(bootstrap=300))
    error = found["conditions"]["raw"]["before"]["ece"]
    assert error["low"] < error["mean"] < error["high"]
