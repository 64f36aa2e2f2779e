"""The graph of similar saliency maps: how many strategies it falls into, and which map follows which.

Source: S. Lapuschkin et al., Nature Communications 10:1096, 2019 (spectral relevance analysis); spectral clustering
after A. Ng, M. Jordan and Y. Weiss, NIPS 2001, on the normalised Laplacian.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.cluster import KMeans

from pipeline.randomness import derive_seed, numpy_generator
from pipeline.statistics import Floats

GRID = 28
"""Maps are pooled to at most this many cells a side."""
NEIGHBOURS = 10
"""Of each map in the graph; a group of at most as many maps cannot stand alone."""
MAX_CLUSTERS = 8
ALPHA = 0.03
"""So that no shape without a break that was tried (line, size, area, place) gives more than 5 % false gaps."""
SIMULATIONS = 299
SIMULATED_MAPS = (40, 60, 90, 135, 200, 300)
"""The chance of a gap is simulated for the largest of these numbers of maps that there are, and so only once for many
classes; fewer maps make a gap by chance likelier, never rarer. Below the first the number itself is taken."""
_ZERO = 1e-9
"""Eigenvalues below this are zero but for rounding."""


@dataclass(frozen=True)
class Partition:
    """Clusters of n maps.

    Attributes:
        labels: (n,) cluster of each map, 0 the largest.
        eigenvalues: the smallest of the graph's normalised Laplacian, ascending, in [0, 2].
        gap: (number of clusters that the eigenvalues suggest, ratio of the eigenvalues before and after the gap).
        gap_p_value: chance of so small a ratio when one strategy varies along a line without any break.
    """

    labels: NDArray[np.int64]
    eigenvalues: Floats
    gap: tuple[int, float]
    gap_p_value: float


def pooled(maps: NDArray[np.floating], grid: int = GRID) -> Floats:
    """Sums over cells: maps (n, h, w) -> (n, min(grid, h), min(grid, w)); the sum of a map stays the same."""
    down, across = (_overlaps(size, min(grid, size)) for size in maps.shape[1:])
    return np.asarray(np.einsum("yh,nhw,xw->nyx", down, maps.astype(np.float64), across, optimize=True))


def resampled(masks: NDArray[np.bool_], shape: tuple[int, int]) -> Floats:
    """Fraction of each pixel of a coarser or finer raster that is true: (n, H, W) -> (n, *shape) in [0, 1]."""
    down, across = (_overlaps(size, count) for size, count in zip(masks.shape[1:], shape, strict=True))
    down, across = (part / part.sum(axis=1, keepdims=True) for part in (down, across))
    return np.asarray(np.einsum("yh,nhw,xw->nyx", down, masks.astype(np.float64), across, optimize=True))


def _overlaps(size: int, count: int) -> Floats:
    """Fraction of each of `size` pixels that lies in each of `count` equal cells, (count, size)."""
    edges = np.linspace(0, size, count + 1)
    pixel = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.asarray(np.clip(overlap, 0, 1), dtype=np.float64)


def partition(features: Floats, seed: int) -> Partition:
    """Clusters of `features` (n, d) by Euclidean distance, n at least 4; one when no gap is beyond chance.

    The order of rows decides ties and nothing else: give them in an order of their own, such as that of their ids.
    """
    count = len(features)
    neighbours = min(NEIGHBOURS, max(count // 4, 2))
    values, vectors = spectrum(squared_distances(features), neighbours)
    clusters, ratio = eigengap(values)
    chance = _simulated_ratios(max([size for size in SIMULATED_MAPS if size <= count], default=count), neighbours)
    p_value = (1 + int((chance <= ratio).sum())) / (1 + len(chance))
    found = clusters if p_value <= ALPHA else 1
    return Partition(_k_means(vectors[:, :found], seed), values, (clusters, ratio), p_value)


def squared_distances(features: Floats) -> Floats:
    """Squared Euclidean distances (n, n) of rows (n, d)."""
    squares = (features**2).sum(axis=1)
    return np.asarray(np.maximum(squares[:, None] + squares[None, :] - 2 * features @ features.T, 0))


def spectrum(distances: Floats, neighbours: int) -> tuple[Floats, Floats]:
    """Smallest eigenvalues and eigenvectors of the graph that joins each point to its nearest `neighbours`.

    L = I - D^(-1/2) W D^(-1/2) with W = (A + A^T) / 2 and A the 0/1 matrix of neighbours, itself not counted; ties go
    to the earlier point. As many eigenvalues are zero as the graph has components.

    Args:
        distances: (n, n).
        neighbours: below n.

    Returns:
        eigenvalues (m,) ascending and eigenvectors (n, m), m = min(n, `MAX_CLUSTERS` + 1).
    """
    count = len(distances)
    apart = distances + np.diag(np.full(count, np.inf))
    nearest = np.argsort(apart, axis=1, kind="stable")[:, :neighbours]
    joined = np.zeros((count, count))
    np.put_along_axis(joined, nearest, 1.0, axis=1)
    weights = (joined + joined.T) / 2
    root = np.sqrt(weights.sum(axis=1))
    laplacian = np.eye(count) - weights / np.outer(root, root)
    values, vectors = eigh(laplacian, subset_by_index=(0, min(count, MAX_CLUSTERS + 1) - 1))
    return np.asarray(np.maximum(values, 0)), np.asarray(vectors)


def eigengap(values: Floats) -> tuple[int, float]:
    """The number k >= 2 of clusters with the smallest lambda_k / lambda_(k+1), in [0, 1], and that ratio."""
    ratios = (values[1:-1] + _ZERO) / (values[2:] + _ZERO)
    best = int(np.argmin(ratios))
    return best + 2, float(ratios[best])


@cache
def _simulated_ratios(count: int, neighbours: int) -> Floats:
    """Ratios at the gap of `count` points drawn evenly on a line.

    Of all shapes without a break a line is the one most easily torn by chance: on a plane or in more dimensions a
    point has neighbours on every side, and lambda_2 / lambda_3 lies nearer to 1 (on a line it tends to 1/4).
    """
    ratios = []
    for number in range(SIMULATIONS):
        place = numpy_generator("eigengap", count, neighbours, number).random(count)
        ratios.append(eigengap(spectrum(np.abs(place[:, None] - place[None, :]), neighbours)[0])[1])
    return np.array(ratios)


def _k_means(vectors: Floats, seed: int) -> NDArray[np.int64]:
    """Labels (n,) from k eigenvectors (n, k), rows scaled to length 1; numbered by size, then by first member."""
    count = vectors.shape[1]
    if count == 1:
        return np.zeros(len(vectors), dtype=np.int64)
    rows = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    state = derive_seed(seed, "spray k-means") % 2**32
    labels = KMeans(count, n_init=10, random_state=state).fit_predict(rows)
    names, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    rank = np.empty(int(names.max()) + 1, dtype=np.int64)
    rank[names[np.lexsort((first, -sizes))]] = np.arange(len(names))
    return np.asarray(rank[labels])
