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

LARGEST = 0.115
"""A box whose shorter side exceeds this share of the image's longer side is anatomy: lung, heart, gas (measured)."""
READABLE = 0.5
"""Recogniser confidence from which a reading counts."""
INSET = 0.12
"""Share of its shorter side by which a box shrinks on every side: the detector's boxes stand off the ink."""


@cache
def _models() -> Any:
    """Detector and recogniser, loaded once a process, single-threaded: the processes share the cores."""
    from rapidocr_onnxruntime import RapidOCR

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    return RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1, det_box_thresh=0.5)


def detect_text(image: Grey8) -> list[Box]:
    """Boxes of text lines on an 8-bit grey image (H, W), in its pixels."""
    height, width = image.shape
    limit = int(np.clip(32 * round(1.5 * min(height, width) / 32), 384, 960))
    detector = _models().text_det
    detector.limit_side_len = limit  # read anew at every call
    corners, _ = detector(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    boxes = []
    for quad in corners if corners is not None else ():
        (x0, y0), (x1, y1) = np.min(quad, axis=0), np.max(quad, axis=0)
        inset = INSET * min(x1 - x0, y1 - y0)
        box = Box(float(x0 + inset), float(y0 + inset), float(x1 - inset), float(y1 - inset)).clipped(width, height)
        if box is not None and min(box.width, box.height) <= LARGEST * max(height, width):
            boxes.append(box)
    return boxes


def read_text(crops: Sequence[Grey8]) -> list[tuple[str, float]]:
    """What stands on each crop (h, w) of a line of text, and how sure the recogniser is, in [0, 1]."""
    return _read(crops, 320)


def read_letters(crops: Sequence[Grey8]) -> list[tuple[str, float]]:
    """The same for crops of single letters, five times faster: the recogniser pads lines to 320 pixels."""
    return _read(crops, 64)


def _read(crops: Sequence[Grey8], width: int) -> list[tuple[str, float]]:
    if not crops:
        return []
    recogniser = _models().text_rec
    recogniser.rec_image_shape = [3, 48, width]
    found, _ = recogniser([cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_GRAY2BGR) for crop in crops])
    return [(str(entry[0]), float(entry[1])) for entry in found]
