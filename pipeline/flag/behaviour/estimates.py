"""Numbers with their interval and N, resampled or permuted by whole patients.

An estimate is {mean, low, high, n}, JSON-ready, null where undefined.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline.statistics import Floats, percentile_interval, resample_weights, weighted_auroc

CONFIDENCE = 0.95
RESAMPLES = 1000
PERMUTATIONS = 1000
BLOCK = 100
"""Resamples in memory at a time."""

Estimate = dict[str, Any]
"""mean, low, high (float or None) and n (int)."""


def estimate(mean: Any, low: Any, high: Any, n: int) -> Estimate:
    """{mean, low, high, n}; NaN becomes null."""
    values = {"mean": mean, "low": low, "high": high}
    return {name: None if pd.isna(value) else float(value) for name, value in values.items()} | {"n": int(n)}


def proportion(successes: int, n: int) -> Estimate:
    """A share with its Wilson interval (E. B. Wilson, JASA 22, 1927); null with interval (0, 1) when n is 0."""
    if n == 0:
        return estimate(None, 0, 1, 0)
    found = stats.binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
    return estimate(successes / n, found.low, found.high, n)


def weighted_mean_interval(
    values: Floats, cluster: NDArray[np.int64], generator: np.random.Generator, confidence: float = CONFIDENCE
) -> tuple[Floats, Floats]:
    """Bootstrap interval over patients of the mean of every column: (low (m,), high (m,)).

    Args:
        values: (n, m), n > 0.
        cluster: number of the patient of each row, (n,).
        generator: draws the patients.
        confidence: in (0, 1).
    """
    drawn = [resample_weights(cluster, BLOCK, generator) for _ in range(RESAMPLES // BLOCK)]
    means = np.concatenate([weights @ values / weights.sum(axis=1, keepdims=True) for weights in drawn])
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high


def mean_estimate(
    values: Floats, cluster: NDArray[np.int64], generator: np.random.Generator, confidence: float = CONFIDENCE
) -> Estimate:
    """Mean of `values` (n,) with its bootstrap interval over patients; null when n is 0."""
    if not len(values):
        return estimate(None, None, None, 0)
    low, high = weighted_mean_interval(values[:, None], cluster, generator, confidence)
    return estimate(values.mean(), low[0], high[0], len(values))


def auroc_estimate(
    scores: Floats, positive: NDArray[np.bool_], cluster: NDArray[np.int64], generator: np.random.Generator
) -> Estimate:
    """Area under the ROC curve with its bootstrap interval over patients; null where only one class is present."""
    if not len(scores):
        return estimate(None, None, None, 0)
    mean = weighted_auroc(scores, positive, np.ones((1, len(scores))))[0]
    drawn = (resample_weights(cluster, BLOCK, generator) for _ in range(RESAMPLES // BLOCK))
    resampled = np.concatenate([weighted_auroc(scores, positive, weights) for weights in drawn])
    return estimate(mean, *percentile_interval(resampled, CONFIDENCE), len(scores))


def permuted_rows(cluster: NDArray[np.int64], count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """`count` permutations of rows, (count, n), that swap whole patients with as many images as each other.

    ``values[permuted_rows(...)]`` are then draws from the null under which patients are exchangeable; a patient with a
    unique number of images keeps its place, which makes the null narrower in no direction, only less varied.
    """
    order = np.argsort(cluster, kind="stable")
    _, sizes = np.unique(cluster, return_counts=True)
    members = np.split(order, np.cumsum(sizes)[:-1])
    rows = np.tile(np.arange(len(cluster)), (count, 1))
    for size in np.unique(sizes):
        alike = np.stack([part for part in members if len(part) == size])
        drawn = generator.random((count, len(alike))).argsort(axis=1)
        rows[:, alike.ravel()] = alike[drawn].reshape(count, -1)
    return rows.astype(np.int64)


def auroc_null(
    scores: Floats,
    positive: NDArray[np.bool_],
    cluster: NDArray[np.int64],
    generator: np.random.Generator,
    count: int = PERMUTATIONS,
) -> Floats:
    """Areas under the ROC curve when labels are permuted over patients, (count,); by ranks, ties count half."""
    ranks = stats.rankdata(scores)
    labels = positive[permuted_rows(cluster, count, generator)]
    hits = int(positive.sum())
    return np.asarray((labels @ ranks - hits * (hits + 1) / 2) / (hits * (len(scores) - hits)))


def permutation_p(observed: float, null: Floats) -> float:
    """(1 + #{null >= observed}) / (1 + N), one-sided; sums in another order of addition count as ties."""
    return float((1 + (null >= observed - 1e-12).sum()) / (1 + len(null)))
