"""Columns of a table as numbers: values for a classifier, levels for counting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.flag.profile.aliases import Family
from pipeline.flag.profile.roles import numbers_in
from pipeline.statistics import Floats

MAX_LEVELS: Final = 200
"""More values than this (of one column) are pooled, rarest first: the booster takes 255."""
MISSING: Final = "missing"


@dataclass(frozen=True)
class Feature:
    """One column.

    Attributes:
        name: of the column.
        family: see `Family`.
        numeric: whether it is a number with an order.
        values: the number (missing: NaN), or the rank of the value by frequency, missing included, (n,).
        missing: whether the cell is empty, (n,).
    """

    name: str
    family: Family
    numeric: bool
    values: Floats
    names: tuple[str, ...]
    """Values in order of frequency; empty for numbers."""
    missing: NDArray[np.bool_]
    unread: int
    """Cells of a column of numbers that are none; they count as missing."""

    def levels(self, bins: int) -> Levels:
        """The values as levels to count: numbers fall into about `bins` bins, missing is a level of its own."""
        if not self.numeric:
            return Levels(self.values.astype(np.int64), self.names)
        return _binned(self.values, bins)


@dataclass(frozen=True)
class Levels:
    """Which of `names` each row is: codes (n,) in 0 .. len(names) − 1."""

    codes: NDArray[np.int64]
    names: tuple[str, ...]


def feature(cells: pd.Series[Any], family: Family) -> Feature:
    """One column of a table; null is missing, and so is what is no number (``50+``) in a column of numbers."""
    values = numbers_in(cells)
    if values is not None:
        missing = np.isnan(values)
        unread = int(missing.sum() - cells.isna().sum())
        return Feature(str(cells.name), family, True, values, (), missing, unread)
    missing = cells.isna().to_numpy(dtype=bool)
    text = cells.astype("object").where(~missing, MISSING).astype(str)
    ranks, names = _ranked(text.to_numpy(dtype=str))
    return Feature(str(cells.name), family, False, ranks.astype(np.float64), names, missing, 0)


def _ranked(text: NDArray[np.str_]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """0 for the most frequent value and so on; ties follow the alphabet."""
    names, inverse, counts = np.unique(text, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    if len(names) > MAX_LEVELS:
        kept = (*map(str, names[order][: MAX_LEVELS - 1]), f"{len(names) - MAX_LEVELS + 1} rarer values")
        return np.minimum(rank, MAX_LEVELS - 1)[inverse], kept
    return rank[inverse], tuple(map(str, names[order]))


def _binned(values: Floats, bins: int) -> Levels:
    """Quantile bins; a value that fills a bin alone gets one, so that 1024 is told from 1023."""
    known = values[~np.isnan(values)]
    unique = np.unique(known)
    if len(unique) <= bins:
        starts, alone = unique, unique
    else:
        starts, times = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1), method="higher"), return_counts=True)
        alone = starts[times > 1]
        starts = starts if starts[-1] in alone else starts[:-1]
    # A bin begins at each start and right after each value that stands alone.
    codes = np.searchsorted(starts, values, side="right") + np.searchsorted(alone, values, side="left")
    present, numbers = np.unique(codes[~np.isnan(values)], return_inverse=True)
    coded = np.full(len(values), len(present), dtype=np.int64)
    coded[~np.isnan(values)] = numbers
    names = [_span(known[numbers == number]) for number in range(len(present))]
    return Levels(coded, (*names, MISSING) if len(known) < len(values) else tuple(names))


def _span(values: Floats) -> str:
    low, high = values.min(), values.max()
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
