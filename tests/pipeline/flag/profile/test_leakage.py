"""Classifiers without pixels: folds by patient, AUROC within folds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.flag.profile.features import feature
from pipeline.flag.profile.leakage import counted_auroc, patient_folds, score_by_column, score_by_columns


def test_folds_keep_patients_together_and_classes_even():
    generator = np.random.default_rng(0)
    cluster = np.repeat(np.arange(100), generator.integers(1, 6, 100))
    positive = (np.arange(100) % 4 == 0)[cluster]
    fold = patient_folds(cluster, positive, generator)
    assert fold is not None
    assert all(len(np.unique(fold[cluster == patient])) == 1 for patient in range(100))
    patients = np.array([len(np.unique(cluster[(fold == number) & positive])) for number in range(5)])
    assert (patients == 5).all()
    assert np.ptp(np.bincount(fold)) <= 0.1 * len(fold)


def test_few_patients_give_few_folds_or_none():
    generator = np.random.default_rng(0)
    positive = np.array([True, True, False, False, False])
    assert patient_folds(np.arange(5), positive, generator).max() == 1
    assert patient_folds(np.array([0, 0, 1, 2, 3]), positive, generator) is None


def test_a_weak_column_is_not_pulled_below_what_it_tells():
    # 45 % against 3 %: AUROC (1 + 0.45 − 0.03) / 2. Scores pooled over folds would come out near 0.65.
    positive = np.repeat([True, False], [60, 140])
    view = np.r_[["AP"] * 27, ["PA"] * 33, ["AP"] * 4, ["PA"] * 136]
    fold = patient_folds(np.arange(200), positive, np.random.default_rng(0))
    scores = score_by_column(feature(pd.Series(view, name="view"), "metadata"), positive, fold)
    assert counted_auroc(scores, positive, fold).value() == pytest.approx((1 + 27 / 60 - 4 / 140) / 2, abs=0.01)


def test_binned_scores_hardly_move_auroc():
    generator = np.random.default_rng(1)
    positive = generator.random(20_000) < 0.3
    scores = generator.normal(positive)
    assert counted_auroc(scores, positive).value() == pytest.approx(roc_auc_score(positive, scores), abs=0.002)
    scores[:10] = np.nan
    expected = roc_auc_score(positive[10:], scores[10:])
    assert counted_auroc(scores, positive).value() == pytest.approx(expected, abs=0.002)


def test_what_only_two_columns_tell_together():
    a, b = np.random.default_rng(2).integers(0, 2, (2, 400))
    positive = a != b
    columns = [feature(pd.Series(np.where(x, "yes", "no"), name="x"), "metadata") for x in (a, b)]
    fold = patient_folds(np.arange(400), positive, np.random.default_rng(3))
    assert counted_auroc(score_by_columns(columns, positive, fold, 0), positive, fold).value() == pytest.approx(1)
    assert counted_auroc(score_by_column(columns[0], positive, fold), positive, fold).value() < 0.6


def test_a_patient_is_never_in_both_folds():
    # Each patient has a width of its own and one label: learnable only from the patient's other images.
    cluster = np.arange(120) // 4
    positive = np.random.default_rng(0).permutation(np.arange(30) % 2 == 0)[cluster]
    width = feature(pd.Series((np.random.default_rng(1).permutation(30) + 500)[cluster], name="width"), "container")
    fold = patient_folds(cluster, positive, np.random.default_rng(2))
    for scores in (score_by_column(width, positive, fold), score_by_columns([width, width], positive, fold, 0)):
        assert counted_auroc(scores, positive, fold).value() < 0.7
