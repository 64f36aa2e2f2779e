"""Cut-outs of marks that were not found, on one sheet: what to look at first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import IntegrityError
from pipeline.types import Box

Picture = NDArray[np.uint8]

TILE = 150
"""Side of a cut-out on the sheet, pixels."""
ACROSS, MOST = 8, 64
_CAPTION = 16
_AROUND = 0.6
"""Share of the mark's longer side shown around it."""


@dataclass(frozen=True)
class Miss:
    """A mark that was not found and its cut-out (`TILE` high and wide, grey)."""

    kind: str
    box: Box
    picture: Picture


def crop(image: NDArray[np.float32], box: Box) -> Picture:
    """The mark and what surrounds it, corners of its box drawn, (`TILE`, `TILE`).

    Args:
        image: (H, W) in [0, 1].
        box: of the mark.
    """
    height, width = image.shape
    half = max(box.width, box.height) * (0.5 + _AROUND) + 4
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    left, top = max(round(x - half), 0), max(round(y - half), 0)
    part = image[top : min(round(y + half), height), left : min(round(x + half), width)]
    scale = TILE / max(part.shape)
    small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    tile = np.zeros((TILE, TILE), dtype=np.uint8)
    grey = np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)[:TILE, :TILE]
    tile[: grey.shape[0], : grey.shape[1]] = grey
    corners = [round(value) for value in ((box.x0 - left) * scale, (box.y0 - top) * scale)]
    opposite = [round(value) for value in ((box.x1 - left) * scale, (box.y1 - top) * scale)]
    for a, b, across, down in ((*corners, 1, 1), (*opposite, -1, -1)):
        cv2.line(tile, (a, b), (a + 12 * across, b), 255, 1)
        cv2.line(tile, (a, b), (a, b + 12 * down), 255, 1)
    return tile


def encoded(picture: Picture) -> bytes:
    """As PNG.

    Raises:
        IntegrityError: OpenCV could not write it.
    """
    fine, data = cv2.imencode(".png", picture)
    if not fine:
        raise IntegrityError(f"A picture of {picture.shape} pixels could not be written as PNG.")
    return data.tobytes()


def sheet(pictures: Sequence[tuple[str, Picture]]) -> Picture:
    """Up to `MOST` captioned cut-outs, the kinds in turn so that none crowds out another."""
    kinds = sorted({caption for caption, _ in pictures})
    by_kind = ([item for item in pictures if item[0] == kind] for kind in kinds)
    chosen = [item for turn in zip_longest(*by_kind) for item in turn if item is not None][:MOST]
    tiles = [_captioned(caption, picture) for caption, picture in sorted(chosen, key=lambda item: item[0])]
    blank = np.zeros((TILE + _CAPTION, TILE), dtype=np.uint8)
    tiles += [blank] * (-len(tiles) % ACROSS or (0 if tiles else ACROSS))
    return np.vstack([np.hstack(tiles[start : start + ACROSS]) for start in range(0, len(tiles), ACROSS)])


def _captioned(caption: str, picture: Picture) -> Picture:
    bar = np.zeros((_CAPTION, TILE), dtype=np.uint8)
    cv2.putText(bar, caption, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1, cv2.LINE_AA)
    return np.vstack([bar, picture])
