"""How strongly two categorical columns go together, for many tables of counts at once."""

from __future__ import annotations

import numpy as np

from pipeline.statistics import Floats, divide


def chi_square(tables: Floats) -> Floats:
    """Pearson's chi² of tables (..., rows, columns); empty rows and columns count for nothing."""
    expected = _outer(tables)
    statistic: Floats = ((tables - expected) ** 2 / np.where(expected > 0, expected, 1)).sum(axis=(-2, -1))
    return statistic


def cramers_v(tables: Floats) -> Floats:
    """Cramér's V of tables (..., rows, columns), in [0, 1]; NaN with fewer than two rows or columns in use.

    V = sqrt(chi² / (n·(min(r, c) − 1))) over rows and columns in use (H. Cramér, Mathematical Methods of Statistics,
    1946). Biased upwards: for independent columns it is above 0 by chance.
    """
    rows, columns, n = _shape(tables)
    smaller = np.minimum(rows, columns) - 1
    return np.sqrt(np.minimum(divide(chi_square(tables), np.where(smaller > 0, n * smaller, 0)), 1))


def corrected_v(tables: Floats) -> Floats:
    """Cramér's V without its bias, 0 on average for independent columns; NaN as for `cramers_v`.

    W. Bergsma, A bias-correction for Cramér's V and Tschuprow's T, J. Korean Stat. Soc. 42, 2013.
    """
    rows, columns, n = _shape(tables)
    over = np.maximum(n - 1, 1)
    phi = np.maximum(divide(chi_square(tables), n) - (rows - 1) * (columns - 1) / over, 0)
    smaller = np.minimum(rows - (rows - 1) ** 2 / over, columns - (columns - 1) ** 2 / over) - 1
    defined = (np.minimum(rows, columns) > 1) & (smaller > 0)
    return np.sqrt(np.minimum(divide(phi, np.where(defined, smaller, 0)), 1))


def mutual_information(tables: Floats) -> Floats:
    """Mutual information of rows and columns in bits (plug-in estimate, biased upwards)."""
    joint = divide(tables, np.broadcast_to(tables.sum(axis=(-2, -1), keepdims=True), tables.shape))
    independent = _outer(joint)
    ratio = np.where(joint > 0, joint, 1) / np.where((joint > 0) & (independent > 0), independent, 1)
    bits: Floats = np.maximum((joint * np.log2(ratio)).sum(axis=(-2, -1)), 0)
    return bits


def entropy(counts: Floats) -> float:
    """Entropy in bits of a class whose frequencies are `counts`."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def auroc(tables: Floats) -> Floats:
    """Area under the ROC curve from counts (..., folds, scores in ascending order, [negative, positive]).

    Share of all pairs within a fold in which the positive has the higher score; ties count half.
    """
    negative, positive = tables[..., 0], tables[..., 1]
    below = np.cumsum(negative, axis=-1) - negative / 2
    pairs = positive.sum(axis=-1) * negative.sum(axis=-1)
    return divide((positive * below).sum(axis=(-2, -1)), pairs.sum(axis=-1))


def _outer(tables: Floats) -> Floats:
    """What each cell would hold if rows and columns were independent."""
    total = tables.sum(axis=(-2, -1), keepdims=True)
    product = tables.sum(axis=-1, keepdims=True) * tables.sum(axis=-2, keepdims=True)
    return divide(product, np.broadcast_to(total, product.shape))


def _shape(tables: Floats) -> tuple[Floats, Floats, Floats]:
    """Rows in use, columns in use, and the sum."""
    rows = (tables.sum(axis=-1) > 0).sum(axis=-1).astype(np.float64)
    columns = (tables.sum(axis=-2) > 0).sum(axis=-1).astype(np.float64)
    return rows, columns, tables.sum(axis=(-2, -1))
