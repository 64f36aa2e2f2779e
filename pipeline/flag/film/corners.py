"""Corners of the picture that are cut off, masked, rounded or tinted.

Two ways of seeing one: a patch whose two inner edges are straight steps of one sign parallel to the sides (a mask, a
tinted or darkened rectangle), and an area of one value around the corner pixel that ends sharply along a chord, an arc
or a rectangle. Dark air beside the neck also lies in a corner, but it ends along a curve that follows the shoulder,
slowly, and is rarely of one value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.flag.found import Found, Grey8
from pipeline.types import Box

WINDOW = 0.3
"""Share of each side within which a corner is looked at."""
SMALLEST = 0.03
"""Share of the shorter side below which a corner is not worth naming (and at least 5 pixels)."""
STEP = 6.0
"""Smallest step across the edge of a patch, grey levels over two pixels."""
ALONG = 0.9
"""Share of each inner edge of a patch that must show the step."""
VALUE = 6
"""Greatest difference from the corner pixel within an area of one value, grey levels (compression noise)."""
SHARP = 0.7
"""Share of the outline of an area of one value along which the grey value jumps within three pixels."""
JUMP = 14.0
"""Smallest such jump, grey levels."""
FLAT = 2.0
"""Spread (10th to 90th percentile) of the grey values of an area of one value: air drifts towards the body."""
LONGEST = 3.0
"""Ratio of the sides of the box around an area of one value: flatter ones are the air above a shoulder."""
SUDDEN = 0.6
"""Share of the change of grey value across an edge, over eight pixels, that happens within three of them. Skin lines
and the edges of lead markers are slower."""
MOST_GROWN = 1.5
"""A shape may be this much larger than the pixels seen of it."""
FIT = 0.9
"""Intersection over union of an area and the ideal shape of its size."""

Window = NDArray[np.float32]
Mask = NDArray[np.bool_]


def find_corners(image: Grey8, taken: Sequence[Found]) -> list[Found]:
    """Corners of the picture inside the borders in `taken` that are not part of the picture, at most one box each.

    Methods: ``corner/patch`` (a rectangle: masked or tinted), ``corner/cut`` (one value, along a chord, an arc or a
    rectangle).
    """
    picture = inside_borders(image.shape, [each.box for each in taken if each.kind == "border"])
    top, bottom, left, right = (int(value) for value in (picture.y0, picture.y1, picture.x0, picture.x1))
    inner = image[top:bottom, left:right]
    rows, columns = round(WINDOW * inner.shape[0]), round(WINDOW * inner.shape[1])
    smallest = max(5, round(SMALLEST * min(inner.shape)))
    if min(rows, columns) <= 2 * smallest:
        return []
    found = []
    for at_bottom, at_right in ((False, False), (False, True), (True, False), (True, True)):
        turned = inner[:: -1 if at_bottom else 1, :: -1 if at_right else 1]
        window = turned[:rows, :columns].astype(np.float32)
        for name, height, width, confidence in _corner(window, smallest):
            y0, x0 = (bottom - height if at_bottom else top), (right - width if at_right else left)
            found.append(Found("corner", Box(x0, y0, x0 + width, y0 + height), confidence, f"corner/{name}"))
    return found


def inside_borders(shape: tuple[int, ...], borders: Sequence[Box]) -> Box:
    """What the borders leave of the picture: each takes away the side along which it runs."""
    height, width = shape
    x0, y0, x1, y1 = 0.0, 0.0, float(width), float(height)
    for box in borders:
        if box.width >= width:
            y0, y1 = (max(y0, box.y1), y1) if box.y0 + box.y1 < height else (y0, min(y1, box.y0))
        else:
            x0, x1 = (max(x0, box.x1), x1) if box.x0 + box.x1 < width else (x0, min(x1, box.x0))
    return Box(x0, y0, x1, y1) if x1 > x0 and y1 > y0 else Box(0, 0, width, height)


def _corner(window: Window, smallest: int) -> Iterator[tuple[str, int, int, float]]:
    """(method, height, width, confidence) of what masks the top left corner of `window`, if anything."""
    area = _one_value(window)
    height, width = (int(area.any(axis=axis).sum()) for axis in (1, 0))
    fits = smallest <= height < window.shape[0] and smallest <= width < window.shape[1]
    fits = fits and 1 / LONGEST <= height / width <= LONGEST
    if fits and (grown := _ideal(area[:height, :width])) is not None and (share := _sharpness(window, area)) >= SHARP:
        yield "cut", min(round(grown * height), len(window)), min(round(grown * width), window.shape[1]), share
    elif (found := _patch(window, smallest)) is not None:
        yield "patch", *found


def _one_value(window: Window) -> Mask:
    """Pixels joined to the corner pixel that have its value, within `VALUE`; holes are filled."""
    value = np.median(window[:3, :3])
    same = (np.abs(window - value) <= VALUE).astype(np.uint8)
    if not same[0, 0]:
        return np.zeros(window.shape, dtype=np.bool_)
    labels = cv2.connectedComponents(same, connectivity=4)[1]
    area = (labels == labels[0, 0]).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(area, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)), dtype=np.bool_)


def _sharpness(window: Window, area: Mask) -> float:
    """Share of the outline of `area`, inside the window, that jumps at once; 0 where most of the change comes later."""
    away = cv2.distanceTransform((~area).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    change = np.abs(window - np.median(window[area]))
    near, far = change[(away > 1.5) & (away <= 3)], change[(away > 6) & (away <= 8)]
    inside = cv2.distanceTransform(area.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    low, high = np.percentile(window[inside >= min(4, inside.max())], (10, 90))  # compression rings near the edge
    if not near.size or not far.size or near.mean() < SUDDEN * far.mean() or high - low > FLAT:
        return 0.0
    return float((near >= JUMP).mean())


def _ideal(area: Mask) -> float | None:
    """By how much the box of `area` must grow to hold the shape that it is; None when it is none of them.

    A rectangle, a right triangle, what a rounded corner leaves, or a quarter disc; their tips are thinner than a pixel.
    """
    height, width = area.shape
    for filled, shape in _SHAPES.items():
        grown = max(1.0, float(np.sqrt(area.mean() / filled)))
        y, x = (np.arange(height)[:, None] + 0.5) / (grown * height), (np.arange(width)[None] + 0.5) / (grown * width)
        ideal = shape(y, x)
        if grown <= MOST_GROWN and (area & ideal).sum() >= FIT * (area | ideal).sum():
            return grown
    return None


_SHAPES: dict[float, Callable[[Any, Any], Any]] = {
    1.0: lambda y, x: (y <= 1) & (x <= 1),
    1 / 2: lambda y, x: y + x <= 1,
    1 - np.pi / 4: lambda y, x: (1 - y) ** 2 + (1 - x) ** 2 >= 1,
    np.pi / 4: lambda y, x: y**2 + x**2 <= 1,
}
"""Share of its box that a shape fills -> whether (y, x) in [0, 1], from the corner, lies in it."""


def _patch(window: Window, smallest: int) -> tuple[int, int, float] | None:
    """(height, width, share) of the rectangle at the corner with the surest inner edges, both of one sign."""
    right, below = _sudden(window.T).T, _sudden(window)
    best: tuple[int, int, float] | None = None
    for sign in (1, -1):
        # Entry [y, x]: a rectangle of y+1 rows and x+1 columns; its edges lie between those and the next ones.
        upright = _running_share(sign * right >= STEP, axis=0)[:-1]
        level = _running_share(sign * below >= STEP, axis=1)[:, :-1]
        share = np.minimum(upright, level)
        share[:smallest], share[:, :smallest] = 0, 0
        y, x = (int(value) for value in np.unravel_index(int(share.argmax()), share.shape))
        if share[y, x] >= ALONG and (best is None or share[y, x] > best[2]):
            best = (y + 1, x + 1, float(share[y, x]))
    return best


def _sudden(window: Window) -> Window:
    """Steps downwards, row y being the one between rows y and y+1 (averaged over two pixels), 0 where not sudden."""
    padded = np.pad(window, ((3, 4), (0, 0)), mode="edge")
    pairs = (padded[1:] + padded[:-1]) / 2  # pairs[i]: rows i-3 and i-2
    count = len(window) - 1
    step, wide = pairs[4 : 4 + count] - pairs[2 : 2 + count], padded[7 : 7 + count] - padded[:count]
    return np.where(np.abs(step) >= SUDDEN * np.abs(wide), step, 0)


def _running_share(steps: Mask, axis: int) -> Window:
    """Share of true entries from the start up to each place."""
    count = np.arange(1, steps.shape[axis] + 1, dtype=np.float32)
    return np.asarray(np.cumsum(steps, axis=axis) / (count[:, None] if axis == 0 else count), dtype=np.float32)
