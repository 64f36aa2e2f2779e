"""Plain against generative, image by image, with bootstrap intervals: does each claim hold?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.benchmark.removal.measures import MEASURES, Measure
from pipeline.benchmark.removal.request import PAIRS
from pipeline.randomness import numpy_generator
from pipeline.statistics import clusters, percentile_interval, resample_weights, weighted_auroc

MIN_PATIENTS = 6
"""Fewer leave every claim undecided: even if all of five agreed, chance would do that in one of 16 cases."""
RESAMPLES = 2000
CONFIDENCE = 0.95

Floats = NDArray[np.float64]


def summarise(images: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """One row a pair of methods and measure.

    All share the bootstrap samples of patients, so differences are paired.

    Args:
        images: of `images.image_table`; every method with the same images in the same order.
        seed: of the bootstrap.

    Returns:
        `plain`, `generative` (names), `measure`, `claim`, `images`, `patients`; mean or area of either, ``a``,
        ``a_low``, ``a_high`` and ``b``...; ``difference`` (b less a) with ``difference_low`` and ``difference_high``;
        `holds`: "yes" where the interval of the difference lies on the claimed side of 0, "opposite" where on the
        other, else, and with fewer than `MIN_PATIENTS`, "undecided".
    """
    first = images[images["explainer"] == PAIRS[0][0]]
    cluster = clusters(first["patient_id"], first["image_id"])
    weights = resample_weights(cluster, RESAMPLES, numpy_generator(seed, "bootstrap", "removal"))
    weights = np.vstack([np.ones(len(first)), weights])  # the first sample is the images as they are
    counts = {"images": len(first), "patients": len(set(cluster.tolist()))}
    rows = []
    for measure in MEASURES:
        for pair in PAIRS:
            a, b = (images[images["explainer"] == name] for name in pair)
            found = _compared(measure, a, b, weights)
            names = {"plain": pair[0], "generative": pair[1], "measure": measure.key, "claim": measure.claim}
            interval = (found["difference_low"], found["difference_high"])
            holds = verdict(measure, *interval) if counts["patients"] >= MIN_PATIENTS else "undecided"
            rows.append({**names, **counts, **found, "holds": holds})
    return pd.DataFrame(rows)


def verdict(measure: Measure, low: float | None, high: float | None) -> str:
    """Whether an interval of the difference, generative less plain, carries the claim; see `summarise`."""
    if low is None or high is None or low <= 0 <= high:
        return "undecided"
    return "yes" if (high < 0) == (measure.better == "lower") else "opposite"


def _compared(
    measure: Measure, plain: pd.DataFrame, generative: pd.DataFrame, weights: Floats
) -> dict[str, float | None]:
    a, b = (estimates(measure, part, weights) for part in (plain, generative))
    result: dict[str, float | None] = {}
    for name, values in (("a", a), ("b", b), ("difference", b - a)):
        low, high = percentile_interval(values[1:], CONFIDENCE)
        result |= {name: float(values[0]), f"{name}_low": low, f"{name}_high": high}
    return result


def estimates(measure: Measure, part: pd.DataFrame, weights: Floats) -> Floats:
    """The measure of one method under every row of `weights` (samples, images)."""
    return _OVER[measure.over](measure.key, part, weights)


def _mean(key: str, part: pd.DataFrame, weights: Floats) -> Floats:
    return np.asarray(weights @ part[key].to_numpy(dtype=np.float64) / weights.sum(axis=1))


def _root(key: str, part: pd.DataFrame, weights: Floats) -> Floats:
    return np.asarray(np.sqrt(_mean(key, part, weights)))


def _auroc(key: str, part: pd.DataFrame, weights: Floats) -> Floats:
    """Of the scores of all queries against those of the images themselves; an image's scores share its weight."""
    queries = [np.asarray(each, dtype=np.float64) for each in part[key]]
    owner = np.concatenate([np.arange(len(part)), np.repeat(np.arange(len(part)), [len(each) for each in queries])])
    scores = np.concatenate([part[f"{key}_own"].to_numpy(dtype=np.float64), *queries])
    return weighted_auroc(scores, np.arange(len(scores)) >= len(part), weights[:, owner])


_OVER: dict[str, Callable[[str, pd.DataFrame, Floats], Floats]] = {"mean": _mean, "root": _root, "auroc": _auroc}
