"""What surrounds the picture: padding, collimator shutters, blank bands and drawn frames.

All of them end in one straight step that runs along nearly a whole side, never far from parallel to it. Anatomy has no
such edge: air beside the body ends at a curve, and the body touches the side somewhere. So the search is for straight
steps of one sign, over all small tilts, on the image averaged into narrow strips across the side (a Hough transform of
signed steps; P. V. C. Hough, US patent 3069654, 1962).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import cv2
import numpy as np

from pipeline.flag.film.edges import ALONG, Edge, Floats, Shifts, steps_across, straight_edges, tilts
from pipeline.flag.found import Found, Grey8
from pipeline.types import Box

STRIPS = 32
"""Strips into which a side is averaged: narrow enough for a tilted edge to stay sharp, wide enough to beat noise."""
DEEPEST = 0.3
"""Share of the image that a band at one side may take."""
PLAIN = 16.0
"""Smallest step of a line, grey levels."""
OPAQUE = 16.0
"""Spread up to which a line at the edge is drawn. Resampling leaves a seam on the outermost row of many files through
which the picture shines; it has no place worth a box and is measured as a trait of the image instead."""
CONSTANT = 2.5
"""Spread (10th to 90th percentile), grey levels, up to which a band has one value: averaging removes the noise."""
PARTLY = 0.35
"""Share of the strips that must show a step, of either sign, where a band of one value ends."""
LASTING = 0.7
"""Share of the picture behind such a line that has another value: a line of print on black air has little of it."""
SUDDEN = 0.6
"""Share of the change over six rows that the end of a band of one value makes at once; skin lines are slower."""
UNIFORM = 30.0
"""Spread up to which a band is unexposed; a band that varies more is part of the picture."""
THIN = 0.012
"""Share of the image up to which a band is a line."""
NESTED = 3
"""Bands looked for one inside the other on each side (a frame around padding, say)."""

Side = Literal["top", "bottom", "left", "right"]


def find_borders(image: Grey8, taken: Sequence[Found]) -> list[Found]:
    """Bands and frames around the picture, one box a side and band, reaching from corner to corner.

    Methods: ``border/padding`` (one value), ``border/collimation`` (unexposed, not constant), ``border/frame`` (a line
    up to `THIN` of the side, at the edge or drawn inside it), ``border/band`` (one value, inside the picture).
    """
    height, width = image.shape
    rows = cv2.resize(image, (min(STRIPS, width), height), interpolation=cv2.INTER_AREA).astype(np.float32)
    columns = cv2.resize(image, (width, min(STRIPS, height)), interpolation=cv2.INTER_AREA).astype(np.float32).T
    sides: dict[Side, Floats] = {"top": rows, "bottom": rows[::-1], "left": columns, "right": columns[::-1]}
    return [
        Found("border", _box(side, first, last, width, height), confidence, f"border/{name}")
        for side, strips in sides.items()
        for name, first, last, confidence in _bands(strips, width if side in ("top", "bottom") else height)
    ]


def _box(side: Side, first: int, last: int, width: int, height: int) -> Box:
    """Rows `first` to `last` (exclusive) counted from `side`, in the pixels of the image."""
    match side:
        case "top":
            return Box(0, first, width, last)
        case "bottom":
            return Box(0, height - last, width, height - first)
        case "left":
            return Box(first, 0, last, height)
        case "right":
            return Box(width - last, 0, width - first, height)


def _bands(strips: Floats, length: int) -> Iterator[tuple[str, int, int, float]]:
    """(method, first row, last row, confidence) of the bands of one side, from the edge inwards."""
    depth = len(strips)
    thin = max(3, round(THIN * depth))
    strips = strips[: round(DEEPEST * depth) + 8]
    shifts = tilts(length, len(strips), strips.shape[1])
    edges = straight_edges(steps_across(strips), shifts)
    first = 0
    for _ in range(NESTED):
        ends = [_end_of_constant(strips, shifts, first), *edges]
        found = next((each for each in ends if each and _ends_band(strips, first, each, thin)), None)
        if found is None:
            break
        yield _name(strips, first, found, thin), first, found.inner, found.along
        first = found.inner
        edges = [each for each in edges if each.outer > first]
    yield from _lines(strips, edges, thin)


def _name(strips: Floats, first: int, edge: Edge, thin: int) -> str:
    if edge.inner - first <= thin:
        return "frame"
    straight = abs(edge.end - edge.start) <= 1
    return "padding" if straight and _spread(_outside(strips, first, edge)) <= CONSTANT else "collimation"


def _lines(strips: Floats, edges: Sequence[Edge], thin: int) -> Iterator[tuple[str, int, int, float]]:
    """Drawn lines and blank bands inside the picture: two opposite steps with one value between them."""
    last = 0
    for outer in edges:
        for inner in edges:
            apart = inner.outer - outer.inner
            if outer.inner < last or apart <= 0 or inner.darker_outside == outer.darker_outside:
                continue
            between = strips[outer.inner : inner.outer]
            if apart > thin and _spread(between) > CONSTANT:
                continue
            if apart <= thin and min(outer.size, inner.size) < PLAIN:
                continue
            yield "frame" if apart <= thin else "band", outer.outer, inner.inner, min(outer.along, inner.along)
            last = inner.inner


def _ends_band(strips: Floats, first: int, edge: Edge, thin: int) -> bool:
    """Whether what lies outside `edge` is a line plain to see or an unexposed band, not a part of the picture."""
    spread = _spread(_outside(strips, first, edge))
    if edge.inner - first <= thin:
        return spread <= OPAQUE and edge.size >= PLAIN and edge.along >= ALONG
    return spread <= UNIFORM


def _outside(strips: Floats, first: int, edge: Edge) -> Floats:
    """Values between row `first` and the edge, one row short of it where there is room: the step itself is blurred."""
    ends = np.linspace(edge.start, edge.end, strips.shape[1])
    row = np.arange(first, edge.inner)[:, None]
    return np.asarray(strips[first : edge.inner][(row < ends - 1) | (row == first)])


def _spread(values: Floats) -> float:
    low, high = np.percentile(values, (10, 90))
    return float(high - low)


def _end_of_constant(strips: Floats, shifts: Shifts, first: int) -> Edge | None:
    """Where a band of one value, from row `first` on, gives way along a line to a darker and brighter picture.

    The picture may have that value, too, in a part of the strips: black air under a black shutter.
    """
    value = np.float32(np.median(strips[first]))
    differs = np.abs(strips[first:] - value) > 2 * CONSTANT
    depth = np.where(differs.any(axis=0), differs.argmax(axis=0), len(differs))
    levelled = depth[None] - shifts
    # One strip may end earlier: print that stands on the band.
    row = np.partition(levelled, 1, axis=1)[:, 1]
    off = levelled - row[:, None]
    on_line = (np.abs(off) <= 1) & (depth < len(differs))[None]
    tilt = np.abs(shifts).max(axis=1) / max(int(np.abs(shifts).max()), 1)
    best = int((on_line.sum(axis=1) - tilt).argmax())  # of equally good lines the least tilted
    used = on_line[best]
    start, end = int(row[best] + shifts[best, 0]), int(row[best] + shifts[best, -1])
    if used.mean() < PARTLY or min(start, end) < 0 or max(start, end) < 1:
        return None
    if differs[max(start, end) :, used].mean() < LASTING:
        return None
    near, far = (
        strips[np.minimum(first + depth + after, len(strips) - 1), np.arange(len(depth))][used] - value
        for after in (1, 6)
    )
    size = float(np.abs(near).mean())
    if size < max(PLAIN, SUDDEN * float(np.abs(far).mean())):
        return None
    return Edge(first + start, first + end, bool(near.mean() > 0), float(used.mean()), size)
