"""The x-rays that holes are made in, and where the marks on them are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.benchmark.detectors.trial import load
from pipeline.cleanse.masks import Mask, Record, content_size, content_window, mark_mask
from pipeline.dataset import DatasetVersion
from pipeline.errors import ImageReadError, InputError
from pipeline.flag.detect import as_grey8, detect
from pipeline.flag.detect_dataset import regions_of
from pipeline.randomness import derive_seed
from pipeline.types import Box, Split

DILATION = 2.0
"""Pixels by which a box grows before it is filled, as cleansing does by default."""

Plane = NDArray[np.float32]
Marks = list[tuple[str, Box]]
"""Kind and box of what is marked, pixels of the picture."""


@dataclass(frozen=True)
class Subject:
    """One x-ray.

    Attributes:
        image_id: its identity.
        patient_id: null where unknown.
        marks: all that was detected.
        pixels: (h, w) uint8 or uint16, without the padding of a store.
    """

    image_id: str
    patient_id: Any
    marks: Marks
    pixels: NDArray[Any]

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def picture(self) -> Plane:
        """The x-ray, (h, w) in [0, 1]."""
        return self.pixels.astype(np.float32) / np.float32(np.iinfo(self.pixels.dtype).max)

    def stored(self, picture: Plane) -> Plane:
        """`picture` in [0, 1] as it comes back from the store, on the same grey levels as the x-ray."""
        top = np.iinfo(self.pixels.dtype).max
        return np.rint(picture * top).astype(self.pixels.dtype).astype(np.float32) / np.float32(top)

    def marked(self, kinds: frozenset[str] | None = None, dilation: float = DILATION) -> Mask:
        """Where the marks (of `kinds`; all when None) are, (h, w), boxes grown by `dilation`."""
        boxes = [box for kind, box in self.marks if kinds is None or kind in kinds]
        record: Record = {"image_id": self.image_id, "height": self.size[0], "width": self.size[1], "scale": 1.0}
        return mark_mask(boxes, record, dilation)


def of_folder(folder: Path, count: int, seed: int) -> Iterator[Subject]:
    """`count` x-rays drawn at random below `folder`, scaled as `benchmark detectors` does; patients are unknown."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    for name in sorted(names, key=lambda name: derive_seed(seed, "fill sample", name)):
        if count == 0:
            return
        try:
            plane = load(folder / name)
        except ImageReadError:
            continue
        found = [(str(region.kind), region.box) for region in detect(plane, image_id=name)]
        yield Subject(name, None, found, as_grey8(plane))
        count -= 1


def of_dataset(
    dataset: DatasetVersion, regions: pd.DataFrame | None, count: int, seed: int, split: Split | None = None
) -> Iterator[Subject]:
    """`count` images of `dataset` drawn at random.

    Args:
        dataset: where they are.
        regions: all regions detected on it (regions.parquet of an audit); None: they are detected now.
        count: at most.
        seed: of the sample; a larger sample holds a smaller one.
        split: take images of this split only, such as one that a learned fill never saw; None: of all.

    Raises:
        InputError: `regions` are of images that the data set does not hold.
    """
    ids = dataset.images["image_id"].astype(str)
    if regions is not None and not set(regions["image_id"].astype(str)) <= set(ids):
        raise InputError("The regions are of images that the data set does not hold. Give the table of an audit of it.")
    by_image = {} if regions is None else dict(list(regions.groupby(regions["image_id"].astype(str))))
    rows = range(len(ids)) if split is None else dataset.rows(split).tolist()
    for row in sorted(rows, key=lambda row: derive_seed(seed, "fill sample", ids[row]))[:count]:
        if regions is None:
            yield _stored(dataset, row, regions_of(dataset, row))
        else:
            yield _stored(dataset, row, by_image[ids[row]].to_dict("records") if ids[row] in by_image else [])


def _stored(dataset: DatasetVersion, row: int, regions: Sequence[Mapping[Any, Any]]) -> Subject:
    record = dataset.images.iloc[row].to_dict()
    window, size, scale = content_window(record), content_size(record), float(record["scale"])

    boxes = [
        (str(region["kind"]), Box(*(float(region[corner]) * scale for corner in ("x0", "y0", "x1", "y1"))))
        for region in regions
    ]
    inside = [(kind, box) for kind, box in boxes if box.clipped(size[1], size[0])]
    return Subject(str(record["image_id"]), record["patient_id"], inside, dataset.pixels([row])[0][window])
