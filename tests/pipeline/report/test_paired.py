"""Paired tests on tables small enough to count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.report.paired import paired_tests
from pipeline.report.predictions import Tested as Answers
from pipeline.report.predictions import align
from pipeline.statistics import delong_test, mcnemar_test


def made(scores: dict[str, list[list[float]]], labels: str, patients: str) -> Answers:
    """`scores` by arm and seed; `labels`: + or - an image; `patients`: a letter an image."""
    rows = [
        {"arm": arm, "seed": seed, "image_id": f"i{n}", "patient_id": patient, "p_covid": p, "p_rest": 1 - p}
        | {"label": "covid" if label == "+" else "rest"}
        for arm, seeds in scores.items()
        for seed, values in enumerate(seeds)
        for n, (p, label, patient) in enumerate(zip(values, labels, patients, strict=True))
    ]
    return align(pd.DataFrame(rows), "raw", "covid", ("rest", "covid"), ("before", "after"), {})


def run(data: Answers) -> dict[str, Any]:
    return paired_tests(data, data.runs["after"], data.runs["before"])


def test_counts_decisions_that_differ() -> None:
    # right before: + - - ; after: all but the last
    before, after = [0.9, 0.2, 0.7, 0.8, 0.1], [0.9, 0.6, 0.2, 0.1, 0.6]
    found = run(made({"before": [before], "after": [after]}, "++---", "abcde"))["mcnemar"]
    # image 2: gained; 3: gained (false alarm gone); 4: gained; 5: lost
    assert found["by_seed"] == [{"later_right": 3, "earlier_right": 1, "p": mcnemar_test(3, 1)}]
    assert found["pooled"] == found["by_seed"][0]
    assert found["patients"] == 5


def test_a_patient_counts_once() -> None:
    # patient a: two gained, one lost -> better once; b: one gained, one lost -> not at all; c: lost
    before, after = [0.1, 0.1, 0.9, 0.1, 0.9, 0.9], [0.9, 0.9, 0.1, 0.9, 0.1, 0.1]
    found = run(made({"before": [before], "after": [after]}, "++++++", "aaabbc"))
    assert (found["mcnemar"]["pooled"]["later_right"], found["mcnemar"]["pooled"]["earlier_right"]) == (1, 1)
    assert found["mcnemar"]["patients"] == 3


def test_pooled_is_the_majority_and_the_mean_score() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.random((3, 12)).round(3), rng.random((3, 12)).round(3)
    data = made({"before": before.tolist(), "after": after.tolist()}, "+-" * 6, "abcdefghijkl")
    found = run(data)
    calls = [(each >= 0.5).mean(axis=0) >= 0.5 for each in (after, before)]
    right = [each == data.positive for each in calls]
    assert found["mcnemar"]["pooled"]["later_right"] == int((right[0] & ~right[1]).sum())
    difference, error, p = delong_test(after.mean(axis=0), before.mean(axis=0), data.positive)
    assert found["delong"]["pooled"] == pytest.approx({"difference": difference, "standard_error": error, "p": p})
    assert len(found["delong"]["by_seed"]) == 3


def test_delong_is_refused_where_patients_have_several_images() -> None:
    data = made({"before": [[0.1, 0.9, 0.3, 0.4]], "after": [[0.1, 0.9, 0.3, 0.4]]}, "+-+-", "aabc")
    found = run(data)["delong"]
    assert found["by_seed"] is None
    assert found["pooled"] is None
    assert found["reason"] == "4 images of 3 patients are not independent"


def test_delong_is_refused_with_one_image_of_a_class() -> None:
    found = run(made({"before": [[0.1, 0.9, 0.3]], "after": [[0.1, 0.9, 0.3]]}, "+--", "abc"))["delong"]
    assert found["reason"] == "fewer than two images of a class"
