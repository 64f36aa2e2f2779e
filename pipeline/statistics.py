"""Patient-level bootstrap: the weights, the area under the ROC curve under weights, and intervals.

Images of one patient are not independent, so whole patients are drawn. A resample is a row of integer
weights, how often each image was drawn; a metric under weights then serves all resamples at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

_SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")


def clusters(patient_ids: Iterable[Any], image_ids: Iterable[Any]) -> NDArray[np.int64]:
    """Number of the patient of each image, (n,); an image of an unknown patient (null) is its own cluster.

    Numbers follow the order of the ids, not of the images.
    """
    names = [
        f"image {image}" if pd.isna(patient) else f"patient {patient}"
        for patient, image in zip(patient_ids, image_ids, strict=True)
    ]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def resample_weights(cluster: NDArray[np.int64], resamples: int, generator: np.random.Generator) -> Floats:
    """How often each image stands in each bootstrap sample of clusters, (resamples, n)."""
    count = int(cluster.max()) + 1
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=resamples)
    return drawn[:, cluster].astype(np.float64)


def weighted_auroc(scores: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """Area under the ROC curve for every row of weights: P(score of a positive > of a negative), ties count half.

    Args:
        scores: (n,), larger = more positive.
        positive: (n,).
        weights: (resamples, n), non-negative.

    Returns:
        (resamples,), NaN where a row holds only one class.
    """
    negatives = np.flatnonzero(~positive)
    negatives = negatives[np.argsort(scores[negatives], kind="stable")]
    below = np.cumsum(np.pad(weights[:, negatives], ((0, 0), (1, 0))), axis=1)
    wins = np.zeros(len(weights))
    for side in _SIDES:  # strictly below, and below or equal: their mean counts ties half
        rank = np.searchsorted(scores[negatives], scores[positive], side=side)
        wins += np.einsum("rp,rp->r", weights[:, positive], below[:, rank]) / 2
    return divide(wins, weights[:, positive].sum(axis=1) * below[:, -1])


def divide(numerator: Floats, denominator: Floats) -> Floats:
    """Element-wise quotient, NaN where the denominator is 0."""
    quotient: Floats = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=quotient, where=denominator != 0)


def percentile_interval(values: Floats, confidence: float) -> tuple[float | None, float | None]:
    """Lower and upper percentile of the defined values; (None, None) when none is defined."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None, None
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def wilson_interval(successes: int, trials: int, confidence: float) -> tuple[float | None, float | None]:
    """Wilson's score interval of a proportion (Wilson 1927); (None, None) without a trial."""
    if not trials:
        return None, None
    interval = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def equal_mass_bins(scores: Floats, bins: int) -> NDArray[np.int64]:
    """Number of the bin of each score, (n,); bins hold about equally many, equal scores share one, none is empty."""
    places = (stats.rankdata(scores) - 0.5) * bins / len(scores)
    return np.unique(np.floor(places), return_inverse=True)[1].astype(np.int64)


def mcnemar_test(better: int, worse: int) -> float:
    """Two-sided exact mid-p value that of discordant pairs as many fall either way (Fagerland et al. 2013, eq. 4).

    Args:
        better: pairs of which only the later decision is right.
        worse: pairs of which only the earlier one is.
    """
    fewer, count = min(better, worse), better + worse
    return min(1.0, float(2 * stats.binom.cdf(fewer, count, 0.5) - stats.binom.pmf(fewer, count, 0.5)))


def delong_test(later: Floats, earlier: Floats, positive: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Difference of two AUROCs on the same images, its standard error, and the two-sided p value.

    DeLong et al. 1988 in the form of midranks (Sun & Xu 2014). Images are taken as independent.

    Args:
        later: (n,) scores, larger = more positive.
        earlier: (n,).
        positive: (n,), at least two of each class.

    Returns:
        p is NaN where the difference has no variance (equal rankings, or both perfect).
    """
    of_positives, of_negatives = [], []
    for scores in (later, earlier):
        among_all = stats.rankdata(scores)
        count, others = int(positive.sum()), int((~positive).sum())
        of_positives.append((among_all[positive] - stats.rankdata(scores[positive])) / others)
        of_negatives.append(1 - (among_all[~positive] - stats.rankdata(scores[~positive])) / count)
    gained, spared = of_positives[0] - of_positives[1], of_negatives[0] - of_negatives[1]
    error = float(np.sqrt(gained.var(ddof=1) / len(gained) + spared.var(ddof=1) / len(spared)))
    difference = float(gained.mean())
    return difference, error, float(2 * stats.norm.sf(abs(difference) / error)) if error else float("nan")
