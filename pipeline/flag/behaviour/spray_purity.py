"""Whether the images of a cluster have something in common that chance does not explain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import hypergeom

from pipeline.randomness import numpy_generator
from pipeline.statistics import Floats, clusters

PERMUTATIONS = 999
MAX_VALUES = 50
"""A column with more values (an age, an image id) is no category and is not looked at."""


@dataclass(frozen=True)
class Purity:
    """The value of a metadata column that stands out most in a cluster.

    Attributes:
        column: of the metadata.
        value: that is more frequent in the cluster than elsewhere, most surprisingly so.
        count: images of the cluster with that value.
        known: images of the cluster whose value is known.
        share: count / known.
        expected: share of the value among all clustered images whose value is known.
        p_value: chance of anything as surprising in any cluster and any column when maps have nothing to do with
            metadata: permutation of the cluster labels over patients, minimum-p (Westfall and Young, 1993).
    """

    column: str
    value: str
    count: int
    known: int
    share: float
    expected: float
    p_value: float


def purities(table: pd.DataFrame, labels: NDArray[np.int64], image_ids: list[str], seed: int) -> list[list[Purity]]:
    """For each cluster the purity of each column, the most surprising first.

    Args:
        table: one row an image; column `patient_id` is not judged, but says which images belong together.
        labels: (n,) cluster of each image, 0..k-1.
        image_ids: of the rows.
        seed: of the permutations.
    """
    count = int(labels.max()) + 1
    columns = list(_columns(table.drop(columns=["patient_id"], errors="ignore")))
    if count == 1 or not columns:
        return [[] for _ in range(count)]
    patients = table["patient_id"] if "patient_id" in table else [None] * len(table)
    shuffled = _permuted(labels, clusters(patients, image_ids), seed)
    surprise = [_surprise(_counts(labels[None], indicator, count)) for _, indicator in columns]
    least = np.min(
        [_surprise(_counts(shuffled, indicator, count)).min(axis=(1, 2)) for _, indicator in columns], axis=0
    )
    found: list[list[Purity]] = []
    for cluster in range(count):
        judged = []
        for (names, indicator), tails in zip(columns, surprise, strict=True):
            value = int(np.argmin(tails[0, cluster]))
            inside = indicator[labels == cluster]
            known = int(inside.sum())
            if known:
                p_value = (1 + int((least <= tails[0, cluster, value] * (1 + 1e-9)).sum())) / (1 + PERMUTATIONS)
                counted = int(inside[:, value].sum())
                expected = float(indicator[:, value].sum() / indicator.sum())
                judged.append(
                    (
                        float(tails[0, cluster, value]),
                        Purity(*names[value], counted, known, counted / known, expected, p_value),
                    )
                )
        found.append([purity for _, purity in sorted(judged, key=lambda pair: (pair[0], pair[1].column))])
    return found


def _columns(table: pd.DataFrame) -> Iterator[tuple[list[tuple[str, str]], NDArray[np.int64]]]:
    """(column, value) pairs and indicators (n, values) of each column with 2 to `MAX_VALUES` values."""
    for name in table:
        text = table[name].astype("object").where(table[name].notna(), None)
        values = sorted({str(value) for value in text if value is not None})
        if 2 <= len(values) <= MAX_VALUES:
            indicator = np.array([[str(each) == value and each is not None for value in values] for each in text])
            yield [(str(name), value) for value in values], indicator.astype(np.int64)


def _counts(
    labels: NDArray[np.int64], indicator: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Images with each value in each cluster (p, k, v) for labels (p, n), and totals of the values (v,)."""
    inside = np.stack([(labels == cluster).astype(np.int64) @ indicator for cluster in range(count)], axis=1)
    return inside, indicator.sum(axis=0)


def _surprise(counted: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Floats:
    """P(at least so many images with the value among as many drawn without putting back), (p, k, v)."""
    inside, totals = counted
    drawn = inside.sum(axis=2, keepdims=True)
    return np.asarray(hypergeom.sf(inside - 1, totals.sum(), totals, drawn))


def _permuted(labels: NDArray[np.int64], patient: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Labels (`PERMUTATIONS`, n) dealt out anew among patients with equally many images, whole patients at a time."""
    rng = numpy_generator(seed, "spray permutations")
    rows = np.argsort(patient, kind="stable")
    sizes = np.bincount(patient)
    starts = np.cumsum(sizes) - sizes
    permuted = np.empty((PERMUTATIONS, len(labels)), dtype=np.int64)
    for size in np.unique(sizes):
        block = rows[starts[sizes == size][:, None] + np.arange(size)]  # (patients, size)
        for number in range(PERMUTATIONS):
            permuted[number, block] = labels[block[rng.permutation(len(block))]]
    return permuted
