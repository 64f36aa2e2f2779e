"""Measures of association against numbers worked out by hand and scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mutual_info_score, roc_auc_score

from pipeline.flag.profile.contingency import auroc, chi_square, corrected_v, cramers_v, entropy, mutual_information

HAND = np.array([[8.0, 2], [1, 9]])


def test_cramers_v_by_hand():
    assert cramers_v(np.array([[10.0, 0], [0, 10]])) == pytest.approx(1)
    assert cramers_v(np.array([[5.0, 5], [5, 5]])) == pytest.approx(0)
    assert cramers_v(HAND) == pytest.approx((8 * 9 - 2 * 1) / np.sqrt(10 * 10 * 9 * 11))
    assert np.isnan(cramers_v(np.array([[3.0, 4], [0, 0]])))


def test_many_tables_at_once_are_each_of_them():
    tables = np.random.default_rng(0).integers(0, 9, (7, 3, 4)).astype(float)
    for measure in (chi_square, cramers_v, corrected_v, mutual_information):
        assert measure(tables) == pytest.approx([float(measure(table)) for table in tables])


def test_chi_square_and_v_agree_with_scipy():
    table = np.random.default_rng(1).integers(1, 30, (4, 3)).astype(float)
    assert chi_square(table) == pytest.approx(stats.chi2_contingency(table, correction=False).statistic)
    assert cramers_v(table) == pytest.approx(stats.contingency.association(table.astype(int), method="cramer"))


def test_the_correction_by_hand():
    # phi² = 0.495, less (1·1)/19; r = c = 2 − 1/19
    phi = 70**2 / (10 * 10 * 9 * 11) - 1 / 19
    assert corrected_v(HAND) == pytest.approx(np.sqrt(phi / (1 - 1 / 19)))
    assert corrected_v(np.array([[5.0, 5], [5, 5]])) == 0


def test_the_correction_takes_the_bias_away():
    generator = np.random.default_rng(2)
    tables = np.zeros((300, 10, 2))
    for table in tables:
        np.add.at(table, (generator.integers(0, 10, 100), generator.integers(0, 2, 100)), 1)
    assert cramers_v(tables).mean() > 0.25
    assert (corrected_v(tables) ** 2).mean() < 0.02


def test_mutual_information_in_bits():
    assert mutual_information(np.array([[4.0, 0], [0, 4]])) == pytest.approx(1)
    assert mutual_information(np.array([[4.0, 4], [2, 2]])) == pytest.approx(0)
    a, b = np.random.default_rng(3).integers(0, 4, (2, 200))
    table = np.zeros((4, 4))
    np.add.at(table, (a, b), 1)
    assert mutual_information(table) == pytest.approx(mutual_info_score(a, b) / np.log(2))
    assert entropy(np.array([2.0, 2, 4, 0])) == pytest.approx(1.5)


def test_auroc_of_counts():
    scores, positive = np.array([1, 2, 2, 3, 3, 3, 4]), np.array([0, 0, 1, 0, 1, 1, 1])
    table = np.zeros((1, 4, 2))
    np.add.at(table, (0, scores - 1, positive), 1)
    assert auroc(table) == pytest.approx(roc_auc_score(positive, scores))
    # Of two folds, pairs count within each: one of 4 pairs at 1, one of 1 pair at 0.
    folds = np.array([[[2.0, 0], [0, 2]], [[0, 1], [1, 0]]])
    assert auroc(folds) == pytest.approx(4 / 5)
    assert np.isnan(auroc(np.array([[[1.0, 0], [2, 0]]])))
