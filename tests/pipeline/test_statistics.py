"""The bootstrap against answers by hand and against a slow, obvious re-derivation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.randomness import numpy_generator
from pipeline.statistics import clusters, percentile_interval, resample_weights, weighted_auroc


def test_unknown_patients_are_their_own_clusters() -> None:
    numbers = clusters(pd.Series(["b", "a", None, "b", pd.NA, float("nan")], dtype=object), list("uvwxyz"))
    assert numbers[0] == numbers[3]
    assert len(set(numbers.tolist())) == 5


def test_a_patient_named_like_an_image_is_not_that_image() -> None:
    assert len(set(clusters(["x", None], ["y", "x"]).tolist())) == 2


def test_weights_draw_whole_patients_and_keep_their_number() -> None:
    cluster = np.array([0, 0, 0, 1, 2])
    weights = resample_weights(cluster, 500, numpy_generator(0, "test"))
    assert np.array_equal(weights[:, 0], weights[:, 1])
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert np.all(weights[:, [0, 3, 4]].sum(axis=1) == 3)
    assert weights[:, 0].mean() == pytest.approx(1.0, abs=0.1)


def test_auroc_by_hand() -> None:
    scores = np.array([0.1, 0.4, 0.4, 0.8])
    positive = np.array([False, True, False, True])
    # pairs (positive, negative): .4>.1 1, .4=.4 1/2, .8>.1 1, .8>.4 1 -> 3.5/4
    assert weighted_auroc(scores, positive, np.ones((1, 4)))[0] == pytest.approx(3.5 / 4)


def test_weighted_auroc_is_the_auroc_of_the_repeated_sample() -> None:
    rng = numpy_generator(0, "auroc")
    scores, positive = rng.integers(0, 6, 40) / 5, rng.random(40) < 0.4
    weights = resample_weights(np.arange(40), 20, rng)
    for row, found in zip(weights, weighted_auroc(scores, positive, weights), strict=True):
        index = np.repeat(np.arange(40), row.astype(int))
        wins = [
            float(p > n) + 0.5 * float(p == n)
            for p in scores[index][positive[index]]
            for n in scores[index][~positive[index]]
        ]
        assert found == pytest.approx(np.mean(wins))


def test_auroc_of_one_class_is_undefined() -> None:
    weights = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    found = weighted_auroc(np.array([0.1, 0.2, 0.3]), np.array([False, False, True]), weights)
    assert np.isnan(found[0])
    assert found[1] == 1.0


def test_interval_ignores_the_undefined_and_says_none_when_all_are() -> None:
    assert percentile_interval(np.array([np.nan, 0.0, 1.0]), 0.5) == (0.25, 0.75)
    assert percentile_interval(np.array([np.nan]), 0.95) == (None, None)
