"""Lines of text on a film: one look at the whole, a closer look where the print is small."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pipeline.flag.found import Grey8
from pipeline.flag.marks.text import detect_text
from pipeline.types import Box

LARGEST = 0.115
"""A box whose shorter side exceeds this share of the image's longer side is anatomy: lung, heart, gas (measured)."""
SMALL = 0.026
"""Lines lower than this share of the image's longer side are looked at again, enlarged."""
CLOSER = 1920
"""Longer side of the image, pixels, at which the closer look would see the whole."""
REACH = (7.0, 2.5)
"""How far around small lines the closer look goes, across and down, in line heights."""
MOST = 0.12
"""Share of the image that is looked at closely, at most."""


def find_lines(image: Grey8, seeds: Sequence[Box]) -> list[Box]:
    """Boxes of single lines on an 8-bit grey image (H, W), in its pixels.

    Args:
        image: bright = dense.
        seeds: letters; where small ones stand together, small print is suspected.
    """
    longer = max(image.shape)
    lines = [box for box in detect_text(image) if min(box.width, box.height) <= LARGEST * longer]
    small = [box for box in lines if min(box.width, box.height) < SMALL * longer]
    letters = [box for box in seeds if max(box.width, box.height) < SMALL * longer]
    small += [
        box for box in letters if sum(box.dilated(2 * box.height).intersection(other) > 0 for other in letters) > 1
    ]
    for tile in _tiles(small, image):
        close = _look_closer(image, tile)
        inside = [line for line in lines if line.intersection(tile) > 0.9 * line.area]
        # A line that the closer look does not see again stays: enlarging hides what is already large.
        stays = [line for line in inside if sum(line.intersection(box) for box in close) < 0.3 * line.area]
        lines = [line for line in lines if line not in inside] + stays + close
    return lines


def _tiles(small: Sequence[Box], image: Grey8) -> list[Box]:
    """Places of small print, those that touch each other joined, as long as their area stays affordable."""
    height, width = image.shape
    tiles: list[Box] = []
    for box in small:
        across, down = (reach * min(box.width, box.height) for reach in REACH)
        tile = Box(box.x0 - across, box.y0 - down, box.x1 + across, box.y1 + down).clipped(width, height)
        while tile is not None and (touching := [other for other in tiles if other.intersection(tile) > 0]):
            tiles = [other for other in tiles if other not in touching]
            tile = _hull([tile, *touching])
        tiles += [tile] if tile is not None else []
    room, chosen = MOST * height * width, []
    for tile in sorted(tiles, key=lambda each: (each.area, each.as_tuple())):
        room -= tile.area
        chosen += [tile] if room >= 0 else []
    return chosen


def _look_closer(image: Grey8, tile: Box) -> list[Box]:
    zoom = max(CLOSER / max(image.shape), 1.0)
    x0, y0, x1, y1 = (round(value) for value in tile.as_tuple())
    part = cv2.resize(image[y0:y1, x0:x1], None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    boxes = [Box(*(value / zoom for value in box.as_tuple())) for box in detect_text(np.asarray(part), side=32)]
    moved = [Box(box.x0 + x0, box.y0 + y0, box.x1 + x0, box.y1 + y0) for box in boxes]
    return [box for box in moved if min(box.width, box.height) < 1.5 * SMALL * max(image.shape)]


def _hull(boxes: Sequence[Box]) -> Box:
    corners = np.array([box.as_tuple() for box in boxes])
    return Box(*corners[:, :2].min(axis=0).tolist(), *corners[:, 2:].max(axis=0).tolist())
