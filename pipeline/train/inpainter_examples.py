"""What an inpainter learns from: windows of a data set that meet no mark, with holes shaped and placed like marks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.inpainters import SIDE
from models.inpainters.network import STRIDE
from pipeline.artifacts import content_hash
from pipeline.dataset import DatasetVersion, to_unit
from pipeline.errors import InputError
from pipeline.randomness import numpy_generator
from pipeline.types import PRINTED_KINDS, Box

SIDES = (3 * SIDE // 4, SIDE, 3 * SIDE // 4, 5 * SIDE // 4)
"""Window sides, taken in turn, pixels; the large one has room for whole lines of print."""
SMALLEST = 32
"""Windows are halved down to this side where larger ones all meet marks, pixels."""
PIXELS = 4 * SIDE**2
"""In a batch, about."""
CLEARANCE = 4
"""Between a window and a detected region, stored pixels."""
HALVED = 0.25
"""Share of windows read from a picture of half the size, as smaller stores have them."""
FROM_MARKS = 0.6
"""Share of holes that have the size of a detected region, half of them also its relative place."""
SECOND = 0.3
"""Share of windows with a second hole."""
LARGEST = 0.8
"""Of a hole's side, as share of the window's."""
TRIES = 200
"""Places looked at for one window before the data set counts as full of marks."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class _Hole:
    """A box of `size` (h, w) in window pixels; `place` (y, x) in [0, 1] is its share of the room it has, if any."""

    size: tuple[int, int]
    place: tuple[float, float] | None
    stroke: bool


@dataclass(frozen=True)
class _Canvas:
    """The part of a stored image that holds the original, and what must be kept away from, stored pixels."""

    row: int
    y: int
    x: int
    height: int
    width: int
    boxes: tuple[tuple[str, Box], ...]
    """Kind and box of each region."""

    def is_free(self, window: Box) -> bool:
        """Whether `window` keeps clear of every region."""
        return not any(window.intersection(box.dilated(CLEARANCE)) for _, box in self.boxes)


class CleanWindows:
    """Batches of windows and holes; what a batch holds depends on (seed, step) alone."""

    def __init__(self, dataset: DatasetVersion, regions: pd.DataFrame, rows: Iterable[int], seed: int) -> None:
        """See `fit_inpainter`; `rows` of the data set are learned from.

        Raises:
            InputError: there is no image, or none that is large enough.
        """
        self._dataset = dataset
        self._seed = seed
        boxes = _stored_boxes(dataset, regions)
        canvases = [_canvas(dataset, int(row), boxes) for row in rows]
        self._largest = max((min(each.height, each.width) for each in canvases), default=0) // STRIDE * STRIDE
        if self._largest < SMALLEST:
            raise InputError(
                f"{dataset.path} has {len(canvases)} images to learn from, the largest with {self._largest} pixels on "
                f"its shorter side; at least one of {SMALLEST} is needed. Give more splits or sources."
            )
        self._canvases = canvases
        self._printed = [mark for canvas in canvases for mark in _printed(canvas)]
        self.levels = int(np.iinfo(dataset.meta.dtype).max)
        """Grey steps above 0 of the store."""
        self.regions = content_hash([[str(canvas.row), canvas.boxes] for canvas in canvases])
        """Names the regions of the images learned from."""

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Pictures float32 (n, 1, S, S) in [0, 1] and their holes, bool of the same shape; n x S x S ~ `PIXELS`.

        Raises:
            InputError: no window without marks was found.
        """
        side = min(SIDES[step % len(SIDES)], self._largest)
        while side >= SMALLEST:
            pairs = [self._window(step, slot, side) for slot in range(max(PIXELS // side**2, 2))]
            found = [pair for pair in pairs if pair is not None]
            if len(found) == len(pairs):
                pictures, holes = (torch.stack(part) for part in zip(*found, strict=True))
                return pictures, holes
            side = side // 2 // STRIDE * STRIDE
        raise InputError(
            f"{self._dataset.path}: among {TRIES} windows of {SMALLEST} x {SMALLEST} pixels none is free of marks. "
            "Give a table with fewer regions, or more images."
        )

    def _window(self, step: int, slot: int, side: int) -> tuple[Tensor, Tensor] | None:
        """A picture and its hole, (1, side, side) each; None where every window looked at meets a mark."""
        rng = numpy_generator(self._seed, "inpainter window", step, slot)
        canvases = [each for each in self._canvases if min(each.height, each.width) >= side]
        for _ in range(TRIES):
            canvas = canvases[int(rng.integers(len(canvases)))]
            zoom = 2 if rng.random() < HALVED and min(canvas.height, canvas.width) >= 2 * side else 1
            size = canvas.height // zoom, canvas.width // zoom
            hole = self._hole(rng, side)
            corner = _corner(rng, hole, size)
            window = _around(rng, hole, corner, size, side)
            y, x = canvas.y + window[0] * zoom, canvas.x + window[1] * zoom
            if canvas.is_free(Box(x, y, x + side * zoom, y + side * zoom)):
                mask = _drawn(rng, hole, (corner[0] - window[0], corner[1] - window[1]), side)
                if rng.random() < SECOND:
                    other = self._hole(rng, side)
                    mask |= _drawn(rng, other, _corner(rng, other, (side, side)), side)
                return _flipped(rng, self._read(canvas.row, y, x, side, zoom), torch.from_numpy(mask)[None])
        return None

    def _hole(self, rng: np.random.Generator, side: int) -> _Hole:
        most = int(LARGEST * side)
        if self._printed and rng.random() < FROM_MARKS:
            size, place = self._printed[int(rng.integers(len(self._printed)))]
            grown = int(rng.integers(1, 6))
            height, width = (min(length + 2 * grown, most) for length in size)
            return _Hole((height, width), place if rng.random() < 0.5 else None, stroke=False)
        height, width = (round(float(np.exp(rng.uniform(np.log(8), np.log(most))))) for _ in range(2))
        return _Hole((height, width), None, stroke=bool(rng.random() < 0.4))

    def _read(self, row: int, y: int, x: int, side: int, zoom: int) -> Tensor:
        """The window (1, S, S), with the grey levels of the store."""
        pixels = self._dataset.pixels([row])[:, y : y + side * zoom, x : x + side * zoom]
        picture = to_unit(pixels)[0]
        if zoom == 1:
            return picture
        return torch.nn.functional.avg_pool2d(picture, zoom).mul(self.levels).round().div(self.levels)


def _stored_boxes(dataset: DatasetVersion, regions: pd.DataFrame) -> dict[str, list[tuple[str, Box]]]:
    """Kind and box (original pixels) of each region, by image, in a fixed order."""
    boxes: dict[str, list[tuple[str, Box]]] = {}
    columns = [regions[name] for name in ("image_id", "kind", "x0", "y0", "x1", "y1")]
    for image_id, kind, *corners in sorted(zip(*columns, strict=True)):
        boxes.setdefault(str(image_id), []).append((str(kind), Box(*map(float, corners))))
    return boxes


def _canvas(dataset: DatasetVersion, row: int, boxes: dict[str, list[tuple[str, Box]]]) -> _Canvas:
    placed = dataset.transform(row)
    found = boxes.get(str(dataset.images["image_id"].iloc[row]), [])
    return _Canvas(
        row,
        int(placed.pad_y),
        int(placed.pad_x),
        round(placed.height * placed.scale),
        round(placed.width * placed.scale),
        tuple((kind, placed.to_store(box)) for kind, box in found),
    )


def _printed(canvas: _Canvas) -> Iterator[tuple[tuple[int, int], tuple[float, float]]]:
    """Size (h, w) and place (y, x) in [0, 1] of the marks printed on an image."""
    for kind, box in canvas.boxes:
        if kind in PRINTED_KINDS:
            room = max(canvas.height - box.height, 1.0), max(canvas.width - box.width, 1.0)
            place = (box.y0 - canvas.y) / room[0], (box.x0 - canvas.x) / room[1]
            yield (round(box.height), round(box.width)), (min(max(place[0], 0), 1), min(max(place[1], 0), 1))


def _corner(rng: np.random.Generator, hole: _Hole, size: tuple[int, int]) -> tuple[int, int]:
    """Where the hole's first pixel stands in a picture of `size`: its own relative place, or anywhere."""
    room = [whole - part for whole, part in zip(size, hole.size, strict=True)]
    if hole.place is None:
        return int(rng.integers(room[0] + 1)), int(rng.integers(room[1] + 1))
    return round(hole.place[0] * room[0]), round(hole.place[1] * room[1])


def _around(
    rng: np.random.Generator, hole: _Hole, corner: tuple[int, int], size: tuple[int, int], side: int
) -> tuple[int, int]:
    """First pixel of a window of `side` that holds the hole and lies inside a picture of `size`."""
    first = []
    for start, length, whole in zip(corner, hole.size, size, strict=True):
        first.append(int(rng.integers(max(start + length - side, 0), min(start, whole - side) + 1)))
    return first[0], first[1]


def _drawn(rng: np.random.Generator, hole: _Hole, corner: tuple[int, int], side: int) -> Mask:
    """The hole in a window: its whole box, or a thick stroke through it."""
    mask = np.zeros((side, side), dtype=np.uint8)
    (y, x), (height, width) = corner, hole.size
    if not hole.stroke:
        mask[y : y + height, x : x + width] = 1
    else:
        points = np.stack([x + rng.integers(0, width, 4), y + rng.integers(0, height, 4)], axis=1).astype(np.int32)
        cv2.polylines(mask, [points], isClosed=False, color=1, thickness=int(rng.integers(4, 13)))
    return np.asarray(mask, dtype=np.bool_)


def _flipped(rng: np.random.Generator, picture: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    return (picture.flip(-1), mask.flip(-1)) if rng.random() < 0.5 else (picture, mask)
