"""The bootstrap against answers by hand and against a slow, obvious re-derivation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from pipeline.randomness import numpy_generator
from pipeline.statistics import (
    Floats,
    clusters,
    delong_test,
    equal_mass_bins,
    mcnemar_test,
    percentile_interval,
    resample_weights,
    weighted_auroc,
    wilson_interval,
)


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


def test_wilson_by_hand() -> None:
    # Wilson 1927: (p + z2/2n +- z sqrt(p(1-p)/n + z2/4n2)) / (1 + z2/n) for 8 of 10
    z2 = 1.959963984540054**2
    centre, spread, scale = 0.8 + z2 / 20, np.sqrt(z2 * (0.8 * 0.2 / 10 + z2 / 400)), 1 + z2 / 10
    assert wilson_interval(8, 10, 0.95) == pytest.approx(((centre - spread) / scale, (centre + spread) / scale))
    assert wilson_interval(0, 0, 0.95) == (None, None)


def test_bins_hold_equally_many_and_never_split_equal_scores() -> None:
    assert equal_mass_bins(np.array([0.5, 0.1, 0.4, 0.2, 0.3, 0.6]), 3).tolist() == [2, 0, 1, 0, 1, 2]
    tied = equal_mass_bins(np.array([0.1] * 7 + [0.2, 0.3]), 3)
    assert tied.tolist() == [0] * 7 + [1, 1]
    assert equal_mass_bins(np.full(5, 0.3), 4).tolist() == [0] * 5


def test_mcnemar_lies_between_the_exact_test_and_its_strict_half() -> None:
    for better, worse in ((0, 0), (3, 3), (10, 2), (1, 6), (25, 40)):
        count, fewer = better + worse, min(better, worse)
        exact = stats.binomtest(fewer, count).pvalue if count else 1.0
        strict = 2 * stats.binomtest(fewer - 1, count, alternative="less").pvalue if fewer else 0.0
        expected = 1.0 if better == worse else (exact + strict) / 2  # mid-p: half of the observed point's weight
        assert mcnemar_test(better, worse) == pytest.approx(expected)
        assert mcnemar_test(better, worse) == mcnemar_test(worse, better)


def test_mcnemar_by_hand() -> None:
    # 1 of 5: 2 P(X <= 1) - P(X = 1) = (2 * 6 - 5) / 32
    assert mcnemar_test(4, 1) == pytest.approx(7 / 32)


def _textbook_delong(scores: list[Floats], positive: np.ndarray) -> tuple[Floats, Floats]:
    """AUROCs and their covariance, pair by pair as in DeLong et al. 1988, eq. 3 to 6."""
    m, n = int(positive.sum()), int((~positive).sum())
    wins = [
        np.array([[(p > q) + 0.5 * (p == q) for q in s[~positive]] for p in s[positive]], dtype=float) for s in scores
    ]
    auc = np.array([each.mean() for each in wins])
    v10, v01 = np.stack([w.mean(axis=1) for w in wins]), np.stack([w.mean(axis=0) for w in wins])
    s10 = (v10 - auc[:, None]) @ (v10 - auc[:, None]).T / (m - 1)
    s01 = (v01 - auc[:, None]) @ (v01 - auc[:, None]).T / (n - 1)
    return auc, s10 / m + s01 / n


def test_delong_against_the_textbook_and_sklearn() -> None:
    rng = np.random.default_rng(5)
    positive = rng.random(50) < 0.4
    shared = rng.normal(size=50) + positive
    later, earlier = (np.round(shared + rng.normal(size=50), 1) for _ in range(2))  # rounding makes ties
    difference, error, p = delong_test(later, earlier, positive)
    auc, covariance = _textbook_delong([later, earlier], positive)
    assert auc == pytest.approx([roc_auc_score(positive, later), roc_auc_score(positive, earlier)])
    assert difference == pytest.approx(auc[0] - auc[1])
    assert error == pytest.approx(np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]))
    assert p == pytest.approx(2 * (1 - stats.norm.cdf(abs(difference) / error)))


def test_delong_of_equal_rankings_has_no_p() -> None:
    scores, positive = np.array([0.1, 0.4, 0.3, 0.8]), np.array([False, True, False, True])
    difference, error, p = delong_test(scores, scores**2, positive)
    assert (difference, error) == (0, 0)
    assert np.isnan(p)


def test_delong_p_is_uniform_when_nothing_differs() -> None:
    rng = np.random.default_rng(0)
    positive = np.arange(80) % 2 == 0
    found = [delong_test(*(rng.normal(size=(2, 80)) + 0.8 * positive), positive)[2] for _ in range(300)]
    assert 3 <= sum(p < 0.05 for p in found) <= 30
