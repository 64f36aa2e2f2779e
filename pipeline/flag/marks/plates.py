"""The plate that a letter stands on: a lead tag, a printed label, an even patch of its own tone."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.flag.found import Grey8
from pipeline.flag.marks.strokes import Stroke
from pipeline.types import Box

REACH = 1.6
"""How far around a letter its plate may extend, in the letter's longer sides."""
SOLID = 0.75
"""Share of its box that a plate with its letter fills, at least."""
LARGEST = 8.0
"""Area of a plate by area of its letter, at most."""


def find_plate(image: Grey8, stroke: Stroke) -> Box | None:
    """The plate around a letter on the image (H, W) it was found on; None when its ground goes on and on."""
    x0, y0, x1, y1 = stroke.box
    reach = round(REACH * max(x1 - x0, y1 - y0))
    left, top = max(x0 - reach, 0), max(y0 - reach, 0)
    window = image[top : y1 + reach, left : x1 + reach].astype(np.int16)
    rim = window[max(y0 - 2 - top, 0) : y1 + 2 - top, max(x0 - 2 - left, 0) : x1 + 2 - left]
    ground = float(np.percentile(rim, 15 if stroke.bright else 85))
    alike = (np.abs(window - ground) < 0.35 * stroke.contrast).astype(np.uint8)
    alike[y0 - top : y1 - top, x0 - left : x1 - left] = 1
    _, labels, stats, _ = cv2.connectedComponentsWithStats(alike, connectivity=4)
    x, y, w, h, area = (int(value) for value in stats[labels[(y0 + y1) // 2 - top, (x0 + x1) // 2 - left]])
    free = x > 0 and y > 0 and x + w < window.shape[1] and y + h < window.shape[0]
    grown = 1.5 * (x1 - x0) * (y1 - y0) < w * h <= LARGEST * (x1 - x0) * (y1 - y0)
    if not (free and grown and area >= SOLID * w * h):
        return None
    return Box(float(left + x), float(top + y), float(left + x + w), float(top + y + h))
