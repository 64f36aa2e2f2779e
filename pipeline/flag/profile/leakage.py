"""How well the class can be told without looking at the picture: cross-validated, folds by patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from pipeline.flag.profile.contingency import auroc
from pipeline.flag.profile.features import Feature, Levels
from pipeline.flag.profile.resampling import Counted, Ints
from pipeline.randomness import derive_seed
from pipeline.statistics import Floats

FOLDS: Final = 5
LEARNT_ROWS: Final = 20_000
"""A classifier of several columns learns from at most this many rows of its folds; all rows are scored."""
_SCORE_BINS: Final = 1024
"""Scores with more different values are binned by rank before AUROC is counted; that moves it by less than 0.002."""
_PRIOR: Final = 2.0
"""Rows of average class that each level is given: a level met once says little."""
_ROWS_A_BIN: Final = 20
_MOST_BINS: Final = 64


def patient_folds(cluster: Ints, positive: NDArray[np.bool_], generator: np.random.Generator) -> Ints | None:
    """Number of the fold of each image, (n,); None with fewer than two patients of either kind.

    A patient is in one fold. Patients with and without a positive image are dealt out one after the other, those with
    the most images first.
    """
    patients = int(cluster.max()) + 1
    diseased = np.bincount(cluster, weights=positive, minlength=patients) > 0
    negative = np.bincount(cluster, weights=~positive, minlength=patients) > 0
    folds = min(FOLDS, int(diseased.sum()), int(negative.sum()))
    if folds < 2:
        return None
    shuffled = generator.permutation(patients)
    sizes = np.bincount(cluster, minlength=patients)
    order = shuffled[np.lexsort((-sizes[shuffled], diseased[shuffled]))]
    fold = np.empty(patients, dtype=np.int64)
    fold[order] = np.arange(patients) % folds
    return fold[cluster]


def score_by_levels(levels: Levels, positive: NDArray[np.bool_], fold: Ints) -> Floats:
    """Share of positives among the other folds' rows of the same level, pulled to their average, (n,)."""
    scores = np.empty(len(positive))
    size = len(levels.names)
    for number in range(int(fold.max()) + 1):
        learnt, tested = fold != number, fold == number
        met = np.bincount(levels.codes[learnt], minlength=size)
        hits = np.bincount(levels.codes[learnt], weights=positive[learnt], minlength=size)
        average = positive[learnt].mean()
        scores[tested] = ((hits + _PRIOR * average) / (met + _PRIOR))[levels.codes[tested]]
    return scores


def score_by_column(feature: Feature, positive: NDArray[np.bool_], fold: Ints) -> Floats:
    """`score_by_levels` of one column, numbers in as many bins as the table can fill."""
    bins = int(np.clip(len(positive) // _ROWS_A_BIN, 4, _MOST_BINS))
    return score_by_levels(feature.levels(bins), positive, fold)


def score_by_columns(features: Sequence[Feature], positive: NDArray[np.bool_], fold: Ints, seed: int) -> Floats:
    """Out-of-fold probability of gradient-boosted trees over several columns, (n,)."""
    table = np.stack([feature.values for feature in features], axis=1)
    scores = np.empty(len(positive))
    for number in range(int(fold.max()) + 1):
        learnt, tested = np.flatnonzero(fold != number), fold == number
        # Rows come sorted by a hash of their content, so every k-th row is a random sample.
        learnt = learnt[:: -(-len(learnt) // LEARNT_ROWS)]
        if len(np.unique(positive[learnt])) < 2:
            scores[tested] = positive[learnt].mean()
            continue
        model = HistGradientBoostingClassifier(
            max_iter=50,
            min_samples_leaf=5,
            early_stopping=False,
            categorical_features=[not feature.numeric for feature in features],
            random_state=derive_seed(seed, "leakage", number) % 2**32,
        )
        scores[tested] = model.fit(table[learnt], positive[learnt]).predict_proba(table[tested])[:, 1]
    return scores


def counted_auroc(scores: Floats, positive: NDArray[np.bool_], fold: Ints | None = None) -> Counted:
    """AUROC of scores, as a statistic that can be resampled; a NaN score counts nowhere.

    With `fold` only images of the same fold are compared: each fold's scores come from another classifier, and
    comparing between them pulls AUROC down (G. Forman and M. Scholz, SIGKDD Explorations 12, 2010).
    """
    known = np.flatnonzero(~np.isnan(scores))
    part = np.zeros(len(scores), dtype=np.int64) if fold is None else fold
    folds = int(part.max()) + 1
    bins = np.full(len(scores), -1, dtype=np.int64)
    for number in range(folds):
        inside = known[part[known] == number]
        bins[inside] = _ranks(scores[inside], _SCORE_BINS // folds)
    height = int(bins.max()) + 1
    rows = np.where(bins >= 0, part * height + bins, -1)

    def within(tables: Floats) -> Floats:
        return auroc(tables.reshape(*tables.shape[:-2], folds, height, 2))

    return Counted(rows, positive.astype(np.int64), (folds * height, 2), within)


def _ranks(scores: Floats, bins: int) -> Ints:
    """Scores by rank, equal ones alike; more than `bins` different ones are binned."""
    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    if len(values) <= bins:
        return inverse.astype(np.int64)
    return np.asarray(((np.cumsum(counts) - 1) * bins // len(scores))[inverse], dtype=np.int64)
