"""Printed text: the PP-OCRv4 detector and recogniser, weights from the rapidocr-onnxruntime wheel (Apache-2.0)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np

from pipeline.flag.found import Grey8
from pipeline.types import Box

READABLE = 0.5
"""Recogniser confidence from which a reading counts."""
INSET = 0.12
"""Share of its shorter side by which a box shrinks on every side: the detector's boxes stand off the ink."""
SHORT = 640
"""The image is read with its shorter side at least so many pixels."""
LONGEST = 1280
"""Larger images are shrunk to this longer side, pixels: text that small is no stamp."""
_PADDED = 96
"""Width in pixels to which the recogniser pads lines of height 48; longer ones are read at their own width."""


@cache
def _models() -> Any:
    """Detector and recogniser, loaded once a process, single-threaded: the processes share the cores."""
    from rapidocr_onnxruntime import RapidOCR

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    return RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1, det_box_thresh=0.5)


def detect_text(image: Grey8, side: int = SHORT) -> list[Box]:
    """Boxes of text lines on an 8-bit grey image (H, W), in its pixels.

    Args:
        image: bright = dense.
        side: to how many pixels its shorter side is enlarged, at least.
    """
    height, width = image.shape
    detector = _models().text_det
    detector.limit_side_len = side  # read anew at every call
    scale = min(1.0, LONGEST / max(height, width))
    seen = image if scale == 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    corners, _ = detector(cv2.cvtColor(seen, cv2.COLOR_GRAY2BGR))
    boxes = []
    for quad in corners if corners is not None else ():
        (x0, y0), (x1, y1) = np.min(quad, axis=0) / scale, np.max(quad, axis=0) / scale
        inset = INSET * min(x1 - x0, y1 - y0)
        box = Box(float(x0 + inset), float(y0 + inset), float(x1 - inset), float(y1 - inset)).clipped(width, height)
        if box is not None:
            boxes.append(box)
    return boxes


def read_text(crops: Sequence[Grey8]) -> list[tuple[str, float]]:
    """What stands on each crop (h, w) of a line of text, and how sure the recogniser is, in [0, 1]."""
    if not crops:
        return []
    recogniser = _models().text_rec
    recogniser.rec_image_shape = [3, 48, _PADDED]
    found, _ = recogniser([cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_GRAY2BGR) for crop in crops])
    return [(str(entry[0]), float(entry[1])) for entry in found]
