"""Candidates for drawn pointers: connected, evenly inked shapes with sharp rims, of either polarity.

Ink is cut out by top-hats at several heights, because an arrow that touches its surroundings at one height stands free
at another: thin lines and small heads at full resolution, thick arrows at half of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.flag.found import Grey8
from pipeline.flag.steepness import steepness

SIDE = 640
"""Longer side at which shapes are sought, pixels; lengths below are in these pixels."""
WIDTH = 27
"""Ink thinner than this is kept by the top-hat, in pixels of either resolution."""
FINE, COARSE = (28, 80), (22, 50, 100)
"""Grey levels above the ground at which ink is cut out, at full and at half resolution."""
LONGEST = (8, 64)
"""Longer side of a shape, from-to, in pixels of either resolution."""
SHORTEST = 4
"""Shorter side of a shape at least, in pixels of either resolution."""
FILL = (0.08, 0.9)
"""Share of its box that the ink covers."""
SHARP, UNEVEN = 0.14, 0.3
"""Slope of the rim per pixel at least, spread of the ink at most, both as shares of the contrast."""
CROP = 32
"""Side of what the shape network sees, pixels."""
_CROSS, _BLOCK = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=np.uint8), np.ones((5, 5), dtype=np.uint8)
_MARGIN = 0.2
"""Ground around the shape in a crop, as a share of its longer side, on each side."""
_SAME = 0.85
"""Overlap from which two cuts show the same shape."""

Corners = tuple[int, int, int, int]
Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Shape:
    """A connected, evenly inked piece.

    Attributes:
        box: x0, y0, x1, y1 in pixels of the image at `SIDE`.
        sharpness: slope of the rim per pixel, as a share of the contrast.
        crop: (2, `CROP`, `CROP`): grey with the ground at 0 and the ink at 1, and the ink's own mask.
    """

    box: Corners
    sharpness: float
    crop: Plane


def find_shapes(image: Grey8) -> list[Shape]:
    """All candidates on an image (H, W) whose longer side is `SIDE`; one arrow may come more than once."""
    half = np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return [*_cut(image, FINE, 1), *_cut(half, COARSE, 2)]


def _cut(image: Grey8, heights: tuple[int, ...], zoom: int) -> Iterator[Shape]:
    smooth = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.6), dtype=np.uint8)
    slopes = (cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=0.25), cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=0.25))
    edges = steepness(*slopes)
    for grey in (smooth, 255 - smooth):
        hat = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, np.ones((WIDTH, WIDTH), np.uint8))
        for height in heights:
            for shape in _components(np.asarray(hat > height, dtype=np.uint8), grey, edges):
                x0, y0, x1, y1 = shape.box
                yield replace(shape, box=(zoom * x0, zoom * y0, zoom * x1, zoom * y1))


def _components(ink: Grey8, grey: Grey8, edges: Plane) -> Iterator[Shape]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    for number in np.flatnonzero(_sized(np.asarray(stats, dtype=np.int32))):
        x, y, w, h = (int(value) for value in stats[number][:4])
        shape = _measured(labels[y : y + h, x : x + w] == number, grey, edges, (x, y))
        if shape is not None:
            yield shape


def _sized(stats: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which components (rows of x, y, width, height, area) have the size and fill of an arrow; never the ground."""
    longest, shortest = stats[:, 2:4].max(axis=1), stats[:, 2:4].min(axis=1)
    fill = stats[:, 4] / (stats[:, 2] * stats[:, 3])
    sized = (longest >= LONGEST[0]) & (longest <= LONGEST[1]) & (shortest >= SHORTEST)
    sized[0] = False
    return np.asarray(sized & (fill >= FILL[0]) & (fill <= FILL[1]))


def _measured(mask: NDArray[np.bool_], grey: Grey8, edges: Plane, corner: tuple[int, int]) -> Shape | None:
    """The component with its crop, or None when its rim is soft or its ink uneven."""
    (x, y), (h, w) = corner, mask.shape
    inside = cv2.erode(mask.view(np.uint8), _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    rim = inside != mask
    values = grey[y : y + h, x : x + w]
    solid = values[inside > 0]
    solid = solid if solid.size >= 12 else values[mask]
    level = float(solid.mean())
    around = cv2.mean(grey[max(y - 3, 0) : y + h + 3, max(x - 3, 0) : x + w + 3])[0]
    slope = float(edges[y : y + h, x : x + w][rim].mean())
    if slope < SHARP * (level - around) or level - around < 0.4 * COARSE[0]:
        return None
    half = max(w, h) // 2 + round(_MARGIN * max(w, h)) + 2
    window = _square(grey, x + w // 2, y + h // 2, half)
    spot = np.zeros(window.shape, dtype=np.uint8)
    top, left = half - h // 2, half - w // 2
    spot[top : top + h, left : left + w] = mask
    ground = float(window[cv2.dilate(spot, _BLOCK) == 0].mean())
    contrast = level - ground
    if contrast < COARSE[0] or slope < SHARP * contrast or float(solid.std()) > UNEVEN * contrast:
        return None
    planes = [cv2.resize(plane, (CROP, CROP), interpolation=cv2.INTER_AREA) for plane in (window, 255 * spot)]
    crop = np.stack(planes).astype(np.float32)
    crop[0], crop[1] = (crop[0] - ground) / contrast, crop[1] / 255
    return Shape((x, y, x + w, y + h), slope / contrast, np.clip(crop, -1, 2))


def _square(plane: Grey8, cx: int, cy: int, half: int) -> Grey8:
    """The square of side 2 `half` about a pixel; beyond the edge the edge goes on."""
    height, width = plane.shape
    x0, y0, x1, y1 = cx - half, cy - half, cx + half, cy + half
    part = plane[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    if part.shape == (2 * half, 2 * half):
        return part
    pads = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
    return np.asarray(cv2.copyMakeBorder(part, *pads, cv2.BORDER_REPLICATE))


def _overlap(one: Corners, other: Corners) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)
