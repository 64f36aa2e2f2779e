"""Straight steps of grey value that run along a side of the image, a little tilted at most.

A side is given as strips: (rows, strips) mean grey values, row 0 at the side, the image averaged along it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TILT = math.radians(4)
"""Largest angle between an edge and its side."""
STEP = 4.0
"""Smallest step that counts, grey levels between the means of two rows on each side of the edge."""
ALONG = 0.85
"""Share of the strips that must show the step."""
SHARPER = 3.0
"""A step is this many times steeper than the grey values a few rows away: slow gradients of exposure are not edges."""
FINE = 8
"""Rows of rise up to which every tilt is tried."""
PEAKS = 6
"""Edges of one sign looked for on a side, strongest first."""

Floats = NDArray[np.float32]
Shifts = NDArray[np.int64]


@dataclass(frozen=True)
class Edge:
    """A straight step across the strips: at rows `start` (first strip) to `end` (last strip), outside minus inside."""

    start: int
    end: int
    darker_outside: bool
    along: float
    """Share of the strips that show it."""
    size: float
    """Mean step, grey levels."""

    @property
    def inner(self) -> int:
        """First row that lies inside everywhere."""
        return max(self.start, self.end)

    @property
    def outer(self) -> int:
        """Rows above this one lie outside everywhere."""
        return min(self.start, self.end)


def straight_edges(steps: Floats, shifts: Shifts) -> list[Edge]:
    """Straight steps along at least `ALONG` of the strips, outermost first, no two of one sign at the same place.

    Args:
        steps: (rows, strips), see `steps_across`.
        shifts: see `tilts`.
    """
    found: list[Edge] = []
    for darker_outside, signed in ((True, steps), (False, -steps)):
        strength = np.clip(signed / STEP, 0, 3)
        share, mean = _sheared((signed >= STEP).astype(np.float32), shifts), _sheared(strength, shifts)
        mean[share < ALONG] = 0
        for shift, row in _peaks(mean):
            rise = int(shifts[shift, -1])
            start = row - min(0, int(shifts[shift].min()))
            along, size = float(share[shift, row]), float(_along(signed, start, rise).mean())
            found.append(Edge(start, start + rise, darker_outside, along, size))
    return sorted(found, key=lambda edge: edge.outer)


def _along(steps: Floats, start: int, rise: int) -> Floats:
    """The steps under a line, (strips,)."""
    strips = np.arange(steps.shape[1])
    rows = start + np.rint(rise * strips / max(len(strips) - 1, 1)).astype(np.int64)
    return np.asarray(steps[np.clip(rows, 0, len(steps) - 1), strips])


def steps_across(strips: Floats) -> Floats:
    """Inside minus outside at every row boundary: row y is the step between rows y-1 and y, (rows, strips).

    Zero where the grey values change as fast a few rows further on.
    """
    padded = np.pad(strips, ((2, 2), (0, 0)), mode="edge")
    pairs = (padded[1:] + padded[:-1]) / 2  # pairs[i]: rows i-2 and i-1 of `strips`
    steps = pairs[2:-1] - pairs[:-3]
    slope = np.abs(np.diff(np.pad(strips, ((5, 5), (0, 0)), mode="edge"), axis=0))
    before, after = slope[:-9][: len(steps)], slope[8:][: len(steps)]
    around = 2 * np.minimum(before, after)
    steps[np.abs(steps) < SHARPER * around] = 0
    steps[0] = 0
    return np.asarray(steps, dtype=np.float32)


def tilts(length: int, rows: int, strips: int) -> Shifts:
    """Rows by which each strip is moved for every tilt, (tilts, strips); the ends move by whole pixels."""
    most = min(int(length * math.tan(TILT)), rows // 3)
    steep = np.arange(FINE + 2, most + 1, 2)  # two rows of blur hide one row of misfit at the ends
    rises = np.concatenate([-steep[::-1], np.arange(-min(FINE, most), min(FINE, most) + 1), steep])
    return np.rint(rises[:, None] * np.linspace(0, 1, strips)[None]).astype(np.int64)


def _sheared(values: Floats, shifts: Shifts) -> Floats:
    """Mean over the strips along every tilted line, (tilts, rows).

    Entry [t, y]: the line whose uppermost strip end lies at row y.
    """
    rows = len(values)
    offsets = shifts - np.minimum(shifts.min(axis=1), 0)[:, None]
    padded = np.pad(values, ((0, int(offsets.max())), (0, 0)))
    total = np.zeros((len(shifts), rows), dtype=np.float32)
    for strip in range(values.shape[1]):
        windows = np.lib.stride_tricks.sliding_window_view(padded[:, strip], rows)
        total += windows[offsets[:, strip]]
    return total / np.float32(values.shape[1])


def _peaks(mean: Floats) -> Iterator[tuple[int, int]]:
    """(tilt, row) of the strongest lines; weaker ones that lie within a few rows of a stronger one are the same."""
    mean = mean.copy()
    for _ in range(PEAKS):
        shift, row = (int(value) for value in np.unravel_index(int(mean.argmax()), mean.shape))
        if mean[shift, row] <= 0:
            return
        yield shift, row
        mean[:, max(row - 3, 0) : row + 4] = 0
