"""Candidates for printed letters: small connected strokes that stand out from their ground, in either polarity.

Strokes are found by top-hat filtering and thresholding at several heights, because a letter that touches its
surroundings at one height stands free at another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.flag.found import Grey8
from pipeline.flag.steepness import steepness

SIDE = 768
"""Longer side at which letters are sought, pixels; lengths below are in these pixels."""
STROKE = 21
"""Strokes thinner than this are kept by the top-hat."""
HEIGHTS = (16, 36, 72)
"""Grey levels above the ground at which strokes are cut out."""
LONGEST, SHORTEST, SLIMMEST = (8, 100), 2, 9
"""Longer side from-to, shorter side at least, longer by shorter side at most."""
FILL = (0.10, 0.97)
"""Share of its box that the ink of a letter covers."""
SHARP, CALM = 0.09, 0.7
"""Slope of the rim per pixel at least, unrest of the ground at most, both as shares of the contrast."""
CROP = 32
"""Side of what the letter network sees, pixels."""
_MARGIN = 0.22
"""Ground around the letter in a crop, as a share of its longer side, on each side."""

Corners = tuple[int, int, int, int]
Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Stroke:
    """A connected piece of ink.

    Attributes:
        box: x0, y0, x1, y1 in pixels of the image at `SIDE`.
        bright: ink brighter than its ground.
        contrast: grey levels between ink and ground.
        crop: (2, `CROP`, `CROP`): grey with the ground at 0 and the ink at 1, and the ink's own mask.
    """

    box: Corners
    bright: bool
    contrast: float
    crop: Plane


def find_strokes(image: Grey8) -> list[Stroke]:
    """All candidates on an image (H, W) whose longer side is `SIDE`; the same letter may come more than once."""
    return [stroke for bright in (True, False) for stroke in _of_polarity(image, bright)]


def _of_polarity(image: Grey8, bright: bool) -> Iterator[Stroke]:
    grey = image if bright else 255 - image
    smooth = np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.6), dtype=np.uint8)
    hat = cv2.morphologyEx(smooth, cv2.MORPH_TOPHAT, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (STROKE, STROKE)))
    slopes = (cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=0.25), cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=0.25))
    edges = steepness(*slopes)
    for height in HEIGHTS:
        _, labels, stats, _ = cv2.connectedComponentsWithStats((hat > height).astype(np.uint8), connectivity=8)
        for number in np.flatnonzero(letter_sized(np.asarray(stats, dtype=np.int32))):
            x, y, w, h = (int(value) for value in stats[number][:4])
            mask = labels[y : y + h, x : x + w] == number
            stroke = _measured(mask, smooth, edges, (x, y), bright)
            if stroke is not None:
                yield stroke


def letter_sized(stats: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which components (rows of x, y, width, height, area) have the size and fill of a letter."""
    longest, shortest = stats[:, 2:4].max(axis=1), stats[:, 2:4].min(axis=1)
    fill = stats[:, 4] / (stats[:, 2] * stats[:, 3])
    sized = (longest >= LONGEST[0]) & (longest <= LONGEST[1]) & (shortest >= SHORTEST)
    return np.asarray(sized & (longest <= SLIMMEST * shortest) & (fill >= FILL[0]) & (fill <= FILL[1]))


def _measured(
    mask: NDArray[np.bool_], smooth: Grey8, edges: Plane, corner: tuple[int, int], bright: bool
) -> Stroke | None:
    """The component with its crop, or None when its rim is soft or its ground uneasy."""
    (x, y), (h, w) = corner, mask.shape
    margin = round(_MARGIN * max(w, h)) + 1
    half = max(w, h) // 2 + margin
    cx, cy = x + w // 2, y + h // 2
    window = _square(smooth, cx, cy, half).astype(np.float32)
    ink = np.zeros(window.shape, dtype=np.uint8)
    top, left = half - h // 2, half - w // 2
    ink[top : top + h, left : left + w] = mask
    ground = window[cv2.dilate(ink, np.ones((5, 5), np.uint8)) == 0]
    if ground.size < 12:
        return None
    level = float(np.median(ground))
    contrast = float(np.median(window[ink > 0])) - level
    rim = ink - np.asarray(cv2.erode(ink, np.ones((3, 3), np.uint8)), dtype=np.uint8)
    steep = float(np.median(_square(edges, cx, cy, half)[rim > 0]))
    unrest = float(np.median(np.abs(ground - level)))
    if contrast < HEIGHTS[0] or steep < SHARP * contrast or unrest > CALM * contrast:
        return None
    planes = ((window - level) / contrast, ink.astype(np.float32))
    crop = np.stack([cv2.resize(plane, (CROP, CROP), interpolation=cv2.INTER_AREA) for plane in planes])
    return Stroke((x, y, x + w, y + h), bright, contrast, np.clip(crop, -1, 2).astype(np.float32))


def _square(plane: NDArray[Any], cx: int, cy: int, half: int) -> NDArray[Any]:
    """The square of side 2 `half` about a pixel; beyond the edge the edge goes on."""
    height, width = plane.shape
    x0, y0, x1, y1 = cx - half, cy - half, cx + half, cy + half
    part = plane[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    if part.shape == (2 * half, 2 * half):
        return part
    pads = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
    return np.asarray(cv2.copyMakeBorder(part, *pads, cv2.BORDER_REPLICATE))
