"""Intervals and p-values that count patients, not images, for tables of more than a hundred thousand rows.

All statistics here are functions of counts, so a resample needs one product: weights of the patients times the
counts each patient contributes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pipeline.randomness import numpy_generator
from pipeline.statistics import Floats, percentile_interval

RESAMPLES: Final = 1000
PERMUTATIONS: Final = 999
CONFIDENCE: Final = 0.95
_BLOCK_CELLS: Final = 4_000_000
"""Weights drawn at a time, as patients x resamples: what memory is needed for."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Counted:
    """A statistic of a table of counts.

    Attributes:
        rows: number of the table's row that each image counts in, (n,); −1 counts nowhere.
        columns: number of its column, (n,).
        shape: of the table.
        statistic: tables (..., *shape) -> (...).
    """

    rows: Ints
    columns: Ints
    shape: tuple[int, int]
    statistic: Callable[[Floats], Floats]

    def table(self) -> Floats:
        """The counts."""
        return self._counts(self.columns)

    def value(self) -> float:
        """The statistic of the counts."""
        return float(self.statistic(self.table()))

    def relabelled(self, source: Ints) -> float:
        """The statistic where image i has the column of image `source[i]`."""
        return float(self.statistic(self._counts(self.columns[source])))

    def _counts(self, columns: Ints) -> Floats:
        seen = self.rows >= 0
        cells = self.rows[seen] * self.shape[1] + columns[seen]
        return np.bincount(cells, minlength=self.shape[0] * self.shape[1]).reshape(self.shape).astype(np.float64)

    def by_patient(self, cluster: Ints, patients: int) -> sparse.csr_array:
        """What each patient adds to each cell, (patients, cells)."""
        seen = self.rows >= 0
        cells = self.rows[seen] * self.shape[1] + self.columns[seen]
        ones = np.ones(len(cells), dtype=np.float32)
        return sparse.csr_array((ones, (cluster[seen], cells)), shape=(patients, self.shape[0] * self.shape[1]))


def bootstrap(jobs: Sequence[Counted], cluster: Ints, seed: int) -> Floats:
    """Every statistic under `RESAMPLES` draws of patients with replacement, (jobs, RESAMPLES).

    Args:
        jobs: statistics over the same images; all see the same draws.
        cluster: number of the patient of each image, (n,), without gaps.
        seed: of the run.
    """
    patients = int(cluster.max()) + 1
    counts = [job.by_patient(cluster, patients) for job in jobs]
    found = np.empty((len(jobs), RESAMPLES))
    start = 0
    for weights in _weights(patients, numpy_generator(seed, "profile-bootstrap")):
        stop = start + len(weights)
        for number, (job, each) in enumerate(zip(jobs, counts, strict=True)):
            tables = (each.T @ weights.T).T.astype(np.float64)
            found[number, start:stop] = job.statistic(tables.reshape(-1, *job.shape))
        start = stop
    return found


def permuted(jobs: Sequence[Counted], cluster: Ints, seed: int) -> Floats:
    """Every statistic with labels exchanged between patients, (jobs, PERMUTATIONS).

    Every patient takes the labels of another one, in their order, repeated or thinned to the number of its images: so
    what images of one patient have in common stays in common, as it would if label and column had nothing to do with
    each other (exchangeable units: P. Good, Permutation, Parametric and Bootstrap Tests, 2005, section 1.3).
    """
    exchange = _Exchange(cluster)
    generator = numpy_generator(seed, "profile-permutation")
    found = np.empty((len(jobs), PERMUTATIONS))
    for draw in range(PERMUTATIONS):
        source = exchange.draw(generator)
        found[:, draw] = [job.relabelled(source) for job in jobs]
    return found


def p_value(observed: float, null: Floats) -> float:
    """One-sided: (1 + #{null >= observed}) / (1 + draws)."""
    # Equal counts summed in another order must tie.
    return float((1 + (null >= observed - 1e-9 * abs(observed)).sum()) / (1 + len(null)))


def interval(values: Floats) -> tuple[float | None, float | None]:
    """95 % percentile interval of the defined values."""
    return percentile_interval(values, CONFIDENCE)


class _Exchange:
    """Draws, for each image, the image whose label it takes."""

    def __init__(self, cluster: Ints) -> None:
        self._order = np.argsort(cluster, kind="stable")
        self._cluster = cluster
        self._sizes = np.bincount(cluster)
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._rank = np.empty(len(cluster), dtype=np.int64)
        self._rank[self._order] = np.arange(len(cluster)) - self._starts[cluster[self._order]]

    def draw(self, generator: np.random.Generator) -> Ints:
        partner = generator.permutation(len(self._sizes))[self._cluster]
        rank = self._rank * self._sizes[partner] // self._sizes[self._cluster]
        return np.asarray(self._order[self._starts[partner] + rank], dtype=np.int64)


def _weights(patients: int, generator: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """How often each patient is drawn, blocks of (at most RESAMPLES, patients)."""
    block = max(1, min(RESAMPLES, _BLOCK_CELLS // patients))
    for start in range(0, RESAMPLES, block):
        size = min(block, RESAMPLES - start)
        weights = np.empty((size, patients), dtype=np.float32)
        for row in weights:
            row[:] = np.bincount(generator.integers(patients, size=patients), minlength=patients)
        yield weights
