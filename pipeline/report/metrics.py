"""Every metric of every classifier under every row of resample weights, and what is said of a metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import CompareConfig
from pipeline.report.predictions import Run, Tested
from pipeline.statistics import (
    Floats,
    divide,
    equal_mass_bins,
    percentile_interval,
    resample_weights,
    weighted_auroc,
    wilson_interval,
)

METRICS = ("precision", "recall", "specificity", "f1", "auroc")
CALIBRATION = ("brier", "ece")
BINS = 10
"""Most bins of the expected calibration error; fewer where a bin would hold fewer than `BIN_SUPPORT` images."""
BIN_SUPPORT = 10

_BLOCK = 2_000_000
"""Numbers of one block of resample weights: bounds memory, whatever the number of images."""


def metric_names(classes: int) -> tuple[str, ...]:
    """Metrics in the order of `measure`; macro-F1 is one of them for more than two classes."""
    return (*METRICS, *(("macro_f1",) if classes > 2 else ()), *CALIBRATION)


def measure(tested: Tested, weights: Floats) -> Floats:
    """Every metric of every classifier under every row of weights: (arms, metrics, seeds, resamples)."""
    bins = min(BINS, max(1, len(tested.images) // BIN_SUPPORT))
    return np.stack(
        [
            np.stack([_metrics(run, tested, equal_mass_bins(run.scores, bins), weights) for run in runs], axis=1)
            for runs in tested.runs.values()
        ]
    )


def bootstrap(
    measured: Callable[[Floats], Floats],
    cluster: NDArray[np.int64],
    config: CompareConfig,
    generator: np.random.Generator,
) -> Floats:
    """What `measured` (weights -> (..., resamples)) gives over bootstrap samples of patients, a block at a time."""
    block = max(1, _BLOCK // len(cluster))
    sizes = [min(block, config.bootstrap - start) for start in range(0, config.bootstrap, block)]
    return np.concatenate([measured(resample_weights(cluster, size, generator)) for size in sizes], axis=-1)


def calibration_error(labels: Floats, scores: Floats, bins: NDArray[np.int64], weights: Floats) -> Floats:
    """Expected calibration error of a class probability for every row of weights (Naeini et al. 2015), (resamples,).

    The mean over images of the distance between mean probability and share of positives in the image's bin.

    Args:
        labels: (n,) 0 or 1, or (resamples, n).
        scores: (n,) probability of 1.
        bins: (n,) number of the bin of each image.
        weights: (resamples, n).
    """
    member = np.eye(int(bins.max()) + 1)[bins]
    return divide(np.abs((weights * (labels - scores)) @ member).sum(axis=1), weights.sum(axis=1))


def _metrics(run: Run, tested: Tested, bins: NDArray[np.int64], weights: Floats) -> Floats:
    truth, called = tested.positive, run.called
    counted = np.stack([called & truth, called & ~truth, ~called & truth, ~called & ~truth], axis=1)
    hits, false_alarms, misses, rejections = (weights @ counted.astype(np.float64)).T
    found = [
        divide(hits, hits + false_alarms),
        divide(hits, hits + misses),
        divide(rejections, rejections + false_alarms),
        divide(2 * hits, 2 * hits + false_alarms + misses),
        weighted_auroc(run.scores, truth, weights),
    ]
    if tested.classes > 2:
        found.append(_macro_f1(run, tested, weights))
    error = (run.scores - truth) ** 2
    found.append(divide(weights @ error, weights.sum(axis=1)))
    found.append(calibration_error(truth.astype(np.float64), run.scores, bins, weights))
    return np.stack(found)


def _macro_f1(run: Run, tested: Tested, weights: Floats) -> Floats:
    """Mean of the classes' F1; a class that is neither there nor called counts not at all."""
    one_hot = np.eye(tested.classes)
    truth, called = one_hot[tested.labels], one_hot[run.winners]
    scores = divide(2 * (weights @ (truth * called)), weights @ (truth + called))
    return over_seeds(scores.T)


def over_seeds(values: Floats) -> Floats:
    """Mean over axis 0 of the defined values, NaN where none is defined."""
    return divide(np.nansum(values, axis=0), (~np.isnan(values)).sum(axis=0).astype(np.float64))


def summary(mean: float, resampled: Floats, confidence: float) -> dict[str, Any]:
    """`mean`, `low`, `high` (null where undefined) and how many resamples were undefined."""
    low, high = percentile_interval(resampled, confidence)
    known = not np.isnan(mean)
    return {
        "mean": or_none(mean),
        "low": low if known else None,
        "high": high if known else None,
        "undefined_resamples": int(np.isnan(resampled).sum()),
    }


def summaries(tested: Tested, arm: str, observed: Floats, resampled: Floats, confidence: float) -> dict[str, Any]:
    """By metric: `summary` over seeds, and `by_seed`.

    Two metrics need more than percentiles. A rate of exactly 0 or 1 in every seed does not move under resampling:
    Wilson's interval over its patients stands in. Binning noise lifts the calibration error of every resample: the
    resampled values are shifted back onto the observed one.

    Args:
        tested: the images and decisions.
        arm: whose metrics.
        observed: (metrics, seeds, 1).
        resampled: (metrics, seeds, resamples).
        confidence: of the intervals.
    """
    found = {}
    for row, metric in enumerate(metric_names(tested.classes)):
        mean, values = float(over_seeds(observed[row])[0]), over_seeds(resampled[row])
        if metric == "ece":
            values = np.clip(values - np.nanmean(values) + mean, 0, 1)
        said = summary(mean, values, confidence)
        if metric in _RATES and mean in (0, 1):
            people = min(len(np.unique(tested.cluster[_RATES[metric](run, tested)])) for run in tested.runs[arm])
            said["low"], said["high"] = wilson_interval(round(mean) * people, people, confidence)
        found[metric] = said | {"by_seed": [or_none(value) for value in observed[row, :, 0]]}
    return found


def differences(
    tested: Tested, observed: tuple[Floats, Floats], resampled: tuple[Floats, Floats], confidence: float
) -> dict[str, Any]:
    """By metric: `summary` of later minus earlier arm over shared resamples; both pairs are (later, earlier)."""
    (now, then), (drawn_now, drawn_then) = observed, resampled
    return {
        metric: summary(
            float(over_seeds(now[row])[0] - over_seeds(then[row])[0]),
            over_seeds(drawn_now[row]) - over_seeds(drawn_then[row]),
            confidence,
        )
        for row, metric in enumerate(metric_names(tested.classes))
    }


def or_none(value: float) -> float | None:
    """Unknown is null."""
    return None if np.isnan(value) else float(value)


_RATES: dict[str, Callable[[Run, Tested], NDArray[np.bool_]]] = {
    "precision": lambda run, _: run.called,
    "recall": lambda _, tested: tested.positive,
    "specificity": lambda _, tested: ~tested.positive,
}
"""Metrics that are shares of images, and of which images."""
