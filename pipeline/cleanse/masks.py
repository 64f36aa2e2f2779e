"""Where the marks of one image lie in its stored pixels.

All masks are bool (h, w) over the *content* of the store: the scaled original without its letterbox padding,
so that no fill reads padding and no mark is drawn on it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.types import Box

Mask = NDArray[np.bool_]
Record = Mapping[Hashable, Any]
"""One row of the images table."""


@dataclass(frozen=True)
class Piece:
    """One connected part of a mask: its own shape (h, w) and the place of its top-left corner."""

    y: int
    x: int
    shape: Mask

    @property
    def pixels(self) -> int:
        """How many pixels it covers."""
        return int(self.shape.sum())

    def window(self, y: int, x: int) -> tuple[slice, slice]:
        """Rows and columns it covers when its corner stands at (y, x)."""
        height, width = self.shape.shape
        return slice(y, y + height), slice(x, x + width)

    def fitted(self, size: tuple[int, int]) -> Piece:
        """The part that fits into an image of (h, w) `size`."""
        return Piece(self.y, self.x, self.shape[: size[0], : size[1]])

    def same_place(self, home: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
        """Corner (y, x) that it has in an image of (h, w) `other` when it moves there from one of size `home`.

        Relative place is kept: what stood in a corner stands in the same corner. The piece must fit.
        """
        corner = []
        for start, length, before, after in zip((self.y, self.x), self.shape.shape, home, other, strict=True):
            room = before - length
            corner.append(round(start / room * (after - length)) if room else (after - length) // 2)
        return corner[0], corner[1]


def content_window(record: Record) -> tuple[slice, slice]:
    """Rows and columns of the store that hold the original, without padding."""
    y, x = int(record["pad_y"]), int(record["pad_x"])
    height, width = content_size(record)
    return slice(y, y + height), slice(x, x + width)


def content_size(record: Record) -> tuple[int, int]:
    """(h, w) of the scaled original in the store, pixels."""
    return round(record["height"] * record["scale"]), round(record["width"] * record["scale"])


def mark_mask(boxes: list[Box], record: Record, dilation: float) -> Mask:
    """Union of `boxes` (original pixels) in stored pixels, each grown by `dilation` stored pixels.

    Raises:
        InputError: a box lies outside its image.
    """
    mask = np.zeros(content_size(record), dtype=np.bool_)
    for box in boxes:
        mask[box_window(box, record, dilation)] = True
    return mask


def box_window(box: Box, record: Record, dilation: float) -> tuple[slice, slice]:
    """Rows and columns of the content that `box` (original pixels) covers, grown by `dilation` stored pixels.

    Raises:
        InputError: the box lies outside its image.
    """
    if box.clipped(record["width"], record["height"]) is None:
        raise InputError(
            f"A region {box.as_tuple()} lies outside its {record['width']} x {record['height']} image "
            f"{record['image_id']}. Boxes are pixels of the original file; detect the regions again."
        )
    x0, y0, x1, y1 = (value * record["scale"] for value in box.as_tuple())
    return (
        slice(max(math.floor(y0 - dilation), 0), math.ceil(y1 + dilation)),
        slice(max(math.floor(x0 - dilation), 0), math.ceil(x1 + dilation)),
    )


def boxes_by_image(regions: pd.DataFrame) -> dict[str, list[Box]]:
    """Boxes of a regions table (`image_id`, `x0`, `y0`, `x1`, `y1`), by image, each in a fixed order."""
    boxes: dict[str, list[Box]] = {}
    columns = [regions[name] for name in ("image_id", "x0", "y0", "x1", "y1")]
    for image_id, x0, y0, x1, y1 in sorted(zip(*columns, strict=True)):
        boxes.setdefault(str(image_id), []).append(Box(float(x0), float(y0), float(x1), float(y1)))
    return boxes


def pieces(mask: Mask) -> Iterator[Piece]:
    """The 8-connected parts of `mask`, largest first."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    order = sorted(range(1, len(stats)), key=lambda number: (-int(stats[number][cv2.CC_STAT_AREA]), number))
    for number in order:
        x, y, width, height, _ = (int(value) for value in stats[number])
        yield Piece(y, x, labels[y : y + height, x : x + width] == number)


def free_place(piece: Piece, blocked: Mask, generator: np.random.Generator) -> tuple[int, int]:
    """A corner (y, x) where the box of `piece` touches nothing `blocked`, uniformly among all such corners.

    Where none is free, uniformly among those that touch the fewest blocked pixels.
    """
    height, width = piece.shape.shape
    total = np.pad(blocked.astype(np.int32).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    touched = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    candidates = np.flatnonzero(touched == touched.min())
    place = int(generator.choice(candidates))
    return place // touched.shape[1], place % touched.shape[1]
