"""Devices in and on the patient: electrodes, generators and other solid metal; leads, lines and tubes.

They can be clinically meaningful, so they are a kind of their own. Precision comes first: faint catheters and tubes,
clips, and wires broken up by other structures, are missed rather than ribs and vessels reported.

A blob is an evenly bright, compact, convex shape with a sharp rim, darker all around. A wire is a long line that is
brighter than what lies on both of its sides (the edge of a bone steps on one side only), kept where it runs straight or
gently curved (opening by line segments, P. Soille, H. Talbot, "Directional morphological filtering", IEEE TPAMI 23,
2001), and judged by how far it reaches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.flag.found import Found, Grey8
from pipeline.flag.steepness import steepness
from pipeline.types import Box

SIDE = 640
"""Longer side at which devices are sought, pixels; lengths below are in these pixels."""
STEP, APART = 6, 4
"""Grey levels by which a wire is brighter than the points this far away on both sides of it."""
LOPSIDED = 1.8
"""The step on the darker side is at most this many times the other: the cortex of a bone is brighter than its inside,
and much brighter than what lies beyond."""
DIRECTIONS = 8
PIECE, CORE = 21, 45
"""Straight pieces of which a wire is made, and of which it has at least one."""
REACH = 130.0
"""Diagonal of a wire's box, at least."""
STRONG = 12.0
"""Median step of a wire, at least."""
MARGIN = 24
"""Lines this close to an edge of the image are edges of the film."""
FAR, THICK, STRAIGHT = 180.0, 3.0, 0.5
"""A single line (fewer pixels per pixel of reach than the second) that reaches less far than the first is a wire only
where this much of it is straight: collar bones and ribs bend more."""
SLENDER, SIDES, DENSE = 0.45, 0.2, (2.2, 3.4)
"""A box narrower than this share of its height, in this outer share of the width, is likely an arm or the chest wall:
there a line needs the second count of pixels per pixel of reach, elsewhere the first."""
BLOB_SIZES = {1: (12, 34), 4: (9, 30)}
"""Sides of a blob's box, from-to, in pixels of the image shrunk this many times: electrodes and clips; generators."""
BLOB_STEPS = (14, 28, 60)
"""Grey levels above the ground at which blobs are cut out."""
CONVEX, SQUARE = 0.9, 0.6
"""Area by area of the convex hull, and shorter by longer side of the tightest rectangle, at least."""
SHARP, EVEN = 0.18, 0.3
"""Slope of the rim per pixel at least, spread of the inside at most, as shares of the contrast."""
TAKEN = 0.3
"""A device is dropped when this share of it lies on what was found before."""

_DISC = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)), dtype=np.uint8)
"""Cuts wires off blobs."""

Plane = NDArray[np.int16]
Mask = NDArray[np.uint8]


def find_devices(image: Grey8, taken: Sequence[Found]) -> list[Found]:
    """Blobs (method ``device/blob``) and wires (``device/wire``) that no earlier detector has found."""
    scale = min(1.0, SIDE / max(image.shape))
    small = image if scale == 1.0 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    grey = np.asarray(small, dtype=np.uint8)
    found: list[Found] = []
    for method, find in (("device/blob", _blobs), ("device/wire", _wires)):
        for corners, confidence in find(grey):
            box = Box(*(value / scale for value in corners))
            if all(box.intersection(other.box) <= TAKEN * box.area for other in (*taken, *found)):
                found.append(Found("device", box, confidence, method))
    return found


def _wires(grey: Grey8) -> Iterator[tuple[tuple[int, ...], float]]:
    """Boxes of wires and how sure each is: by reach and by step."""
    step, direction = two_sided_step(grey)
    pieces = _straight(step, direction, PIECE)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(pieces, connectivity=8)
    height, width = grey.shape
    for number in range(1, len(stats)):
        x, y, w, h = (int(value) for value in stats[number][:4])
        reach = math.hypot(w, h)
        edge = x + w <= MARGIN or y + h <= MARGIN or x >= width - MARGIN or y >= height - MARGIN
        if reach < REACH or edge:
            continue
        place = np.s_[y : y + h, x : x + w]
        mask = labels[place] == number
        steps = step[place][mask]
        steps = steps[steps > STEP]
        strength = float(np.median(steps))
        at_side = w < SLENDER * h and not SIDES * width < x + w / 2 < (1 - SIDES) * width
        if steps.size < DENSE[at_side] * reach:
            continue
        straight = int(_straight(step[place], direction[place], CORE)[mask].sum()) / steps.size
        if strength >= STRONG and straight >= (STRAIGHT if reach < FAR and steps.size < THICK * reach else 0.05):
            yield (x, y, x + w, y + h), min(0.95, 0.4 + 0.2 * reach / (2 * REACH) + 0.01 * strength)


def two_sided_step(grey: Grey8) -> tuple[Plane, NDArray[np.int8]]:
    """How much each pixel is brighter than both points `APART` away, in the best of `DIRECTIONS`, and which that is."""
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.0)
    height, width = smooth.shape
    wide = cv2.copyMakeBorder(smooth, APART, APART, APART, APART, cv2.BORDER_REPLICATE)
    best = np.full(smooth.shape, -1, dtype=np.int16)
    which = np.zeros(smooth.shape, dtype=np.int8)
    for number in range(DIRECTIONS):
        angle = math.pi * number / DIRECTIONS
        dx, dy = round(APART * math.cos(angle)), round(APART * math.sin(angle))
        one = wide[APART + dy : APART + dy + height, APART + dx : APART + dx + width]
        other = wide[APART - dy : APART - dy + height, APART - dx : APART - dx + width]
        step = cv2.subtract(smooth, cv2.max(one, other))
        step[cv2.subtract(smooth, cv2.min(one, other)) > LOPSIDED * step.astype(np.float32)] = 0
        better = step > best
        best[better] = step[better]
        which[better] = number
    return best, which


def _straight(step: Plane, direction: NDArray[np.int8], length: int) -> Mask:
    """Lines (1, elsewhere 0) of at least `length` pixels that run across the direction of their step."""
    on = step > STEP
    lines = np.zeros(step.shape, dtype=np.uint8)
    for number in range(DIRECTIONS):
        turn = (direction - number) % DIRECTIONS
        alike = _grown(on & ((turn <= 1) | (turn == DIRECTIONS - 1)))
        kept = cv2.morphologyEx(
            alike, cv2.MORPH_OPEN, _segment(number, length), borderType=cv2.BORDER_CONSTANT, borderValue=0
        )
        lines |= np.asarray(kept, dtype=np.uint8)
    return np.asarray(lines & _grown(on), dtype=np.uint8)


def _grown(where: NDArray[np.bool_]) -> Mask:
    """By one pixel on every side."""
    return np.asarray(cv2.dilate(where.view(np.uint8), np.ones((3, 3), np.uint8)), dtype=np.uint8)


@cache
def _segment(number: int, length: int) -> Mask:
    """The line segment of direction `number` + a right angle, as a structuring element."""
    angle = math.pi * (number / DIRECTIONS + 0.5)
    middle, half = length // 2, length // 2
    dx, dy = half * math.cos(angle), half * math.sin(angle)
    segment = np.zeros((length, length), dtype=np.uint8)
    ends = ((round(middle - dx), round(middle - dy)), (round(middle + dx), round(middle + dy)))
    cv2.line(segment, *ends, 1, 1)
    return segment


def _blobs(grey: Grey8) -> Iterator[tuple[tuple[int, ...], float]]:
    """Boxes of blobs and how sure each is: by the sharpness of the rim."""
    for shrink, sizes in BLOB_SIZES.items():
        scale = 1 / shrink
        view = np.asarray(cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        side = 2 * sizes[1] + 1
        hat = cv2.morphologyEx(view, cv2.MORPH_TOPHAT, np.ones((side, side), np.uint8))
        slopes = (cv2.Sobel(view, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(view, cv2.CV_32F, 0, 1, scale=0.125))
        edges = steepness(*slopes)
        for height in BLOB_STEPS:
            solid = cv2.morphologyEx((hat > height).view(np.uint8), cv2.MORPH_OPEN, _DISC)
            _, labels, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=4)
            sides = stats[:, 2:4]
            fits = (
                (sides.min(axis=1) >= sizes[0]) & (sides.max(axis=1) <= sizes[1]) & (stats[:, 4] >= 0.5 * sides.prod(1))
            )
            for number in np.flatnonzero(fits):
                x, y, w, h = (int(value) for value in stats[number][:4])
                sharp = _solid((labels[y : y + h, x : x + w] == number).astype(np.uint8), view, edges, (x, y))
                if sharp >= SHARP:
                    yield tuple(shrink * v for v in (x, y, x + w, y + h)), min(0.95, 0.4 + sharp)


def _solid(mask: Mask, grey: Grey8, edges: NDArray[np.float32], corner: tuple[int, int]) -> float:
    """Slope of the rim by contrast, 0 where the shape is not compact, not even inside or not darker all around."""
    (x, y), (h, w) = corner, mask.shape
    outline = max(cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=len)
    hull = cv2.contourArea(cv2.convexHull(outline))
    _, sides, _ = cv2.minAreaRect(outline)
    if cv2.contourArea(outline) < CONVEX * hull or min(sides) < SQUARE * max(sides):
        return 0.0
    room = 5
    wide = cv2.copyMakeBorder(grey, room, room, room, room, cv2.BORDER_REPLICATE)
    window = wide[y : y + h + 2 * room, x : x + w + 2 * room]
    ink = np.pad(mask, room)
    near, far = (cv2.dilate(ink, np.ones((size, size), np.uint8)) for size in (5, 9))
    inside = cv2.erode(ink, np.ones((3, 3), np.uint8)) > 0
    if not inside.any():
        return 0.0
    level, spread = float(window[inside].mean()), float(window[inside].std())
    ring = window[(far > 0) & (near == 0)]
    contrast = level - float(np.percentile(ring, 75))
    if contrast < BLOB_STEPS[0] or spread > EVEN * contrast:
        return 0.0
    rim = (ink > 0) & ~inside
    return float(np.median(edges[y : y + h, x : x + w][rim[room : room + h, room : room + w]])) / contrast
