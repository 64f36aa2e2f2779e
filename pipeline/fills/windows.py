"""Windows around holes, and how much smaller each must be made so that a network's reach suffices."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.fills.contract import Mask
from pipeline.fills.geometry import Window, grown, window

REACH = 32
"""Deepest hole that is painted at full resolution: largest distance of a pixel under it from a known one, pixels."""
MARGIN = 40
"""Surroundings that a window shows on every side of its holes, pixels of the grid that is painted on."""
NEAR = 8
"""Holes up to twice as far apart share a window, pixels."""
LARGEST = 1024
"""Longest side of a window as it is painted, pixels; bounds the memory."""
STEP = 32
"""Sides of windows are multiples of it where the image has room, so that many are alike and can share a batch."""


@dataclass(frozen=True)
class Part:
    """A group of holes.

    Attributes:
        place: the window it is painted in.
        own: (h, w) bool, the window's pixels that belong to the group; holes of others may reach into the window.
        factor: how much smaller than the image it is painted, at least 1.
    """

    place: Window
    own: Mask
    factor: int


def parts(mask: Mask) -> Iterator[Part]:
    """The groups of holes of `mask` (H, W); every pixel under it belongs to one."""
    count, labels = cv2.connectedComponents(grown(mask, NEAR).astype(np.uint8), connectivity=8)
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    for number in range(1, count):
        own = (labels == number) & mask
        factor = max(1, math.ceil(float(depth[own].max()) / REACH))
        place = _around(own, factor)
        while max(side.stop - side.start for side in place) > LARGEST * factor:
            factor += 1
            place = _around(own, factor)
        yield Part(place, own[place], factor)


def _around(own: Mask, factor: int) -> Window:
    rows, columns = window(own, 0)
    return _span(rows, own.shape[0], factor), _span(columns, own.shape[1], factor)


def _span(inner: slice, side: int, factor: int) -> slice:
    """`inner` with its margins, a multiple of the step long, moved into an image of `side` pixels."""
    step = STEP * factor
    length = min(math.ceil((inner.stop - inner.start + 2 * MARGIN * factor) / step) * step, side)
    start = min(max((inner.start + inner.stop - length) // 2, 0), side - length)
    return slice(start, start + length)
