"""The contact sheet: holes, what stood there, and what each fill made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.benchmark.fills.holes import Place
from pipeline.benchmark.fills.subjects import Plane

Picture = NDArray[np.uint8]

TILE = 144
"""Height and width of a cut-out, pixels."""
CAPTION = 16
"""Height of the bar above it."""


@dataclass(frozen=True)
class Example:
    """One row of the sheet.

    Attributes:
        size: of the hole, in a word.
        place: where it is.
        truth: the x-ray (h, w) in [0, 1].
        filled: what each fill made of it, by name.
    """

    size: str
    place: Place
    truth: Plane
    filled: Mapping[str, Plane]

    def tiles(self) -> list[Picture]:
        """Truth, hole (white), fills: (CAPTION + TILE, TILE) each."""
        mask = self.place.mask((self.truth.shape[0], self.truth.shape[1]))
        planes = {f"truth, {self.size}": self.truth, "hole": np.where(mask, np.float32(1), self.truth), **self.filled}
        window = self.place.around(self.truth, max(8, max(self.place.piece.shape.shape) // 2))
        return [_tile(caption, plane[window]) for caption, plane in planes.items()]


def sheet(examples: Sequence[Example]) -> Picture:
    """All examples, one below the other."""
    return np.vstack([np.hstack(example.tiles()) for example in examples])


def _tile(caption: str, plane: Plane) -> Picture:
    scale = TILE / max(plane.shape)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = cv2.resize(plane, None, fx=scale, fy=scale, interpolation=how)[:TILE, :TILE]
    tile = np.zeros((CAPTION + TILE, TILE), dtype=np.uint8)
    tile[CAPTION : CAPTION + small.shape[0], : small.shape[1]] = np.rint(small.clip(0, 1) * 255)
    cv2.putText(tile, caption, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1, cv2.LINE_AA)
    return tile
