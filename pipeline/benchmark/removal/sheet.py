"""Perturbed images side by side: what each method showed the classifier."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pipeline.benchmark.removal.request import PAIRS
from pipeline.benchmark.removal.trial import Unit

SHOWN = 2
"""Queries of each method."""
_GAP = 4
_HEAD = 18


def queries_picture(units: Sequence[Unit]) -> bytes:
    """A PNG: for each image a line that begins with it, then `SHOWN` queries of every method."""
    names = [name for pair in PAIRS for name in pair]
    _height, width = units[0].image.shape
    columns = ["image", *(name if number == 0 else "" for name in names for number in range(SHOWN))]
    lines = [np.concatenate([_head(name, width) for name in columns], axis=1)]
    for unit in units:
        panes = [unit.image, *(unit.queries[name][number] for name in names for number in range(SHOWN))]
        lines.append(np.concatenate([np.pad(pane, _GAP // 2, constant_values=255) for pane in panes], axis=1))
    return bytes(cv2.imencode(".png", np.concatenate(lines))[1])


def _head(name: str, width: int) -> np.ndarray:
    head = np.full((_HEAD, width + _GAP), 255, dtype=np.uint8)
    return np.asarray(cv2.putText(head, name, (_GAP, _HEAD - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 0, 1, cv2.LINE_AA))
