"""Where the errors gather: attributes, and pairs of them, whose images are wrong clearly more often than the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline.dataset import DatasetVersion
from pipeline.flag.behaviour.estimates import (
    BLOCK,
    CONFIDENCE,
    RESAMPLES,
    Estimate,
    estimate,
    permuted_rows,
    proportion,
)
from pipeline.flag.behaviour.strata import in_turn
from pipeline.flag.behaviour.subgroups import MIN_SUPPORT, attributes, predicted
from pipeline.randomness import numpy_generator
from pipeline.statistics import Floats, clusters, percentile_interval, resample_weights

PERMUTATIONS = 10_000
MAX_IMAGES = 4000
"""Test images that are searched, labels in turn, where there are more."""
FINER = 0.05
"""A pair is told beside one of its parts only when it is worse than the rest of that part at this level."""

_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class _Slice:
    conditions: tuple[tuple[str, str], ...]
    members: _Mask


def error_slices(
    dataset: DatasetVersion, predictions: pd.DataFrame, regions: pd.DataFrame, seed: int, fdr: float
) -> list[dict[str, Any]]:
    """Slices of the test split with an error rate clearly above that of all other test images, worst first.

    All conjunctions of one or two attributes (those of `attributes`, and `label`) with at least `MIN_SUPPORT` images
    inside and outside are searched. p: errors are permuted over patients, one-sided; q: Benjamini-Hochberg over all
    searched; lift = error rate inside / outside, with 1/2 added to errors and non-errors so that it is always defined;
    interval by bootstrap over patients. A slice is told when q <= `fdr` and the interval of its lift lies above 1; a
    pair beside one of its parts only when it is worse than the rest of that part (Fisher, `FINER`).

    Args:
        dataset: labels, patients, attributes.
        predictions: `image_id` and `p_<class>`.
        regions: the regions table.
        seed: of the run.
        fdr: false-discovery rate.

    Returns:
        {conditions: [{attribute, value}], words, n, errors, error_rate, rest_rate, lift (estimates), p, q, searched}.
    """
    rows = dataset.rows("test")
    table = dataset.images.iloc[rows][["image_id", "label"]].assign(row=rows)
    rows = np.array(sorted(in_turn(table, ["label"], seed, "error slices")[:MAX_IMAGES]), dtype=np.int64)
    images = dataset.images.iloc[rows]
    wrong = predicted(dataset, rows, predictions)[0] != images["label"].to_numpy(dtype=str)
    facts = attributes(dataset, rows, regions).assign(label=images["label"].to_numpy(dtype=str))
    slices = list(_slices(facts))
    if not slices or not wrong.any():
        return []
    cluster = clusters(images["patient_id"], images["image_id"])
    members = np.stack([each.members for each in slices], axis=1).astype(np.float64)
    p = _p_values(wrong, members, cluster, numpy_generator(seed, "slices-null"))
    q = stats.false_discovery_control(p)
    told: list[tuple[_Slice, dict[str, Any]]] = []
    for number in np.flatnonzero(q <= fdr):
        part = slices[number]
        generator = numpy_generator(seed, "slices", str(part.conditions))
        lift = _lift(wrong, part.members, cluster, generator)
        if lift["low"] > 1 and all(_finer(wrong, part, parent) for parent, _ in told):
            numbers = {"lift": lift, "p": float(p[number]), "q": float(q[number]), "searched": len(slices)}
            told.append((part, _record(wrong, part, numbers)))
    return sorted((record for _, record in told), key=lambda each: (-each["lift"]["low"], each["words"]))


def _slices(facts: pd.DataFrame) -> Iterator[_Slice]:
    """Single conditions, then pairs; of two with the same images only the first."""
    masks = {
        (str(name), str(value)): (facts[name] == value).to_numpy(dtype=bool)
        for name in facts
        for value in sorted(facts[name].unique())
    }
    seen: set[bytes] = set()
    singles = [((condition,), mask) for condition, mask in masks.items()]
    pairs = [((a, b), masks[a] & masks[b]) for a, b in combinations(masks, 2) if a[0] != b[0]]
    for conditions, mask in [*singles, *pairs]:
        enough = MIN_SUPPORT <= mask.sum() <= len(mask) - MIN_SUPPORT
        if enough and mask.tobytes() not in seen:
            seen.add(mask.tobytes())
            yield _Slice(conditions, mask)


def _p_values(wrong: _Mask, members: Floats, cluster: NDArray[np.int64], generator: np.random.Generator) -> Floats:
    """P-value of each slice's number of errors when errors are permuted over patients, (slices,)."""
    observed = wrong.astype(np.float64) @ members
    as_many = np.zeros(len(observed))
    for _ in range(PERMUTATIONS // BLOCK):
        shuffled = wrong[permuted_rows(cluster, BLOCK, generator)].astype(np.float64)
        as_many += (shuffled @ members >= observed - 1e-9).sum(axis=0)
    return np.asarray((1 + as_many) / (1 + PERMUTATIONS))


def _lift(wrong: _Mask, inside: _Mask, cluster: NDArray[np.int64], generator: np.random.Generator) -> Estimate:
    def ratio(weights: Floats) -> Floats:
        rates = [(weights @ (wrong & side) + 0.5) / (weights @ side + 1) for side in (inside, ~inside)]
        return np.asarray(rates[0] / rates[1])

    drawn = (ratio(resample_weights(cluster, BLOCK, generator)) for _ in range(RESAMPLES // BLOCK))
    low, high = percentile_interval(np.concatenate(list(drawn)), CONFIDENCE)
    return estimate(ratio(np.ones((1, len(wrong))))[0], low, high, len(wrong))


def _finer(wrong: _Mask, part: _Slice, told: _Slice) -> bool:
    """Whether `part` says more than `told`: it is no part of it, or worse than the rest of it."""
    if not set(told.conditions) < set(part.conditions):
        return True
    rest = told.members & ~part.members
    counts = [[int((wrong & side).sum()), int((~wrong & side).sum())] for side in (part.members, rest)]
    return bool(stats.fisher_exact(counts, alternative="greater")[1] <= FINER)


def _record(wrong: _Mask, part: _Slice, numbers: dict[str, Any]) -> dict[str, Any]:
    inside = part.members
    errors, n = int((wrong & inside).sum()), int(inside.sum())
    return {
        "conditions": [{"attribute": name, "value": value} for name, value in part.conditions],
        "words": " and ".join(f"{name}: {value}" for name, value in part.conditions),
        "n": n,
        "errors": errors,
        "error_rate": proportion(errors, n),
        "rest_rate": proportion(int((wrong & ~inside).sum()), int((~inside).sum())),
        **numbers,
    }
