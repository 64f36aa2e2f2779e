"""`harmonise`: every picture gets the grey levels of a typical training picture; constant borders are cut off.

Landmark standardisation of Nyúl & Udupa, On standardizing the MR image intensity scale, Magn. Reson. Med. 42:1072
(1999), with deciles as landmarks: those of a picture are mapped to standard values, straight lines between them. It
takes away exposure and windowing as signs of a source, keeps the order of grey levels, and so the anatomy.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from pipeline.cleanse.masks import Record, content_size, content_window
from pipeline.cleanse.repairs.action import Bench, Change, PixelAction, Transform, derived
from pipeline.cleanse.repairs.frame import Window, cut, framed_table
from pipeline.dataset import SHARD, DatasetVersion

Levels = NDArray[np.float64]

ENDS = (1, 99)
"""Percentiles that become black and white."""
DECILES = (10, 20, 30, 40, 50, 60, 70, 80, 90)
"""Landmarks between them, of what is not background."""
BACKGROUND = 0.05
"""Darker than this, from black to white, is air beside the patient: how much of it there is must not matter."""
FLAT = 4 / 255
"""A row or column at the edge whose grey levels differ less is a border, not film."""
LEAST = 0.5
"""Of each side that trimming leaves at least; more than half of a film is no border."""


class Harmonise(PixelAction):
    """Standard grey levels, learned from the training pictures of all classes and sources together."""

    action: Literal["harmonise"] = "harmonise"
    trim: bool = Field(True, description="cut off constant rows and columns at the edges")

    def fitted(self, bench: Bench, version: DatasetVersion) -> Transform:
        """The change, with the standard values of split train of `version`."""

        @cache
        def standard() -> Levels:
            return _standard(version, self.trim)

        identity = {"operation": self.action, "trim": self.trim, "standard_of": version.meta.version}

        def transform(shown: DatasetVersion) -> DatasetVersion:
            return derived(shown, bench.root, identity, lambda: self._change(shown, standard()))

        return transform

    def _change(self, shown: DatasetVersion, standard: Levels) -> Change:
        records = {str(record["image_id"]): record for record in shown.images.to_dict("records")}
        windows: dict[str, Window] = {}
        for start in range(0, len(shown), SHARD):
            rows = np.arange(start, min(start + SHARD, len(shown)))
            for image, record in zip(shown.tensor(rows), shown.images.iloc[rows].to_dict("records"), strict=True):
                windows[str(record["image_id"])] = _window(image, record, self.trim)
        framed = framed_table(shown, windows)

        def tone(content: Tensor) -> Tensor:
            return _mapped(content, standard)

        def edit(table: pd.DataFrame, images: Tensor) -> Tensor:
            pictures = [
                cut(image, records[str(new["image_id"])], new, windows[str(new["image_id"])], tone)
                for image, new in zip(images, table.to_dict("records"), strict=True)
            ]
            return torch.stack(pictures)

        trimmed = sum(windows[name] != _whole(record) for name, record in records.items())
        facts = {"images": len(shown), "trimmed": trimmed, "standard": standard.round(4).tolist()}
        return Change(framed, np.arange(len(shown)), edit, facts)


def _standard(dataset: DatasetVersion, trim: bool) -> Levels:
    """Mean landmarks of the training pictures, (9,)."""
    rows, found = dataset.rows("train"), []
    for start in range(0, len(rows), SHARD):
        block = rows[start : start + SHARD]
        for image, record in zip(dataset.tensor(block), dataset.images.iloc[block].to_dict("records"), strict=True):
            stretched = _stretched(_trimmed(image, record, trim))
            if stretched is not None:
                found.append(_landmarks(stretched))
    return np.mean(found, axis=0) if found else np.array(DECILES) / 100


def _stretched(content: Tensor) -> Levels | None:
    """Grey levels with `ENDS` at 0 and 1; None for a picture of one grey."""
    levels = content.numpy().astype(np.float64)
    low, high = np.percentile(levels, ENDS)
    return ((levels - low) / (high - low)).clip(0, 1) if high > low else None


def _landmarks(stretched: Levels) -> Levels:
    shown = stretched[stretched > BACKGROUND]
    return np.percentile(shown, DECILES)


def _mapped(content: Tensor, standard: Levels) -> Tensor:
    """`content` (1, h, w) with its landmarks moved to `standard`."""
    stretched = _stretched(content)
    if stretched is None:
        return content
    own, wanted = (np.array([0.0, *levels, 1.0]) for levels in (_landmarks(stretched), standard))
    # Equal landmarks (a picture with few grey levels) would make the map jump: only distinct ones are used.
    distinct = np.diff(own, prepend=-1.0) > 0
    return torch.from_numpy(np.interp(stretched, own[distinct], wanted[distinct]).astype(np.float32))


def _trimmed(image: Tensor, record: Record, trim: bool) -> Tensor:
    rows, columns = content_window(record)
    y0, y1, x0, x1 = _window(image, record, trim)
    return image[:, rows, columns][:, y0:y1, x0:x1]


def _window(image: Tensor, record: Record, trim: bool) -> Window:
    """What is left of the content when constant rows and columns at its edges are cut off."""
    if not trim:
        return _whole(record)
    rows, columns = content_window(record)
    content, window = image[0, rows, columns].numpy(), _whole(record)
    while True:
        y0, y1, x0, x1 = window
        inside = content[y0:y1, x0:x1]
        top, bottom = _inner(np.ptp(inside, axis=1) > FLAT, content.shape[0])
        left, right = _inner(np.ptp(inside[top:bottom], axis=0) > FLAT, content.shape[1])
        window = (y0 + top, y0 + bottom, x0 + left, x0 + right)
        if window == (y0, y1, x0, x1):  # a frame in two greys shows its inner band only once the outer one is gone
            return window


def _whole(record: Record) -> Window:
    height, width = content_size(record)
    return 0, height, 0, width


def _inner(busy: NDArray[np.bool_], whole: int) -> tuple[int, int]:
    """First and last busy place, end exclusive; everything when too little of the `whole` side would be left."""
    places = np.flatnonzero(busy)
    if not len(places) or places[-1] + 1 - places[0] < LEAST * whole:
        return 0, len(busy)
    return int(places[0]), int(places[-1]) + 1
