"""Cutting a window out of the pictures of a version, letterboxed back to its pixel store."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pandas as pd
import torch
import torch.nn.functional as functional
from torch import Tensor

from pipeline.cleanse.masks import Record, content_size, content_window
from pipeline.dataset import DatasetVersion
from pipeline.types import StoreTransform

Window = tuple[int, int, int, int]
"""y0, y1, x0, x1 in pixels of the content of a stored image (without its padding), ends exclusive."""


def framed_table(version: DatasetVersion, windows: dict[str, Window]) -> DatasetVersion:
    """`version` with an images table in which each window is the original: its size and its place in the store.

    Boxes of regions are in pixels of the uncut file and do not apply to it.
    """
    table = version.images.copy()
    placed = [_placed(record, windows[str(record["image_id"])], version.meta.size) for record in _records(table)]
    table["width"] = [place.width for place in placed]
    table["height"] = [place.height for place in placed]
    for name in ("scale", "pad_x", "pad_y"):
        table[name] = [getattr(place, name) for place in placed]
    framed = copy.copy(version)
    framed.images = table
    return framed


def cut(image: Tensor, old: Record, new: Record, window: Window, tone: Callable[[Tensor], Tensor]) -> Tensor:
    """`window` of a stored image (1, S, S), passed through `tone` and scaled to where `new` says; black around it.

    Args:
        image: float32 in [0, 1].
        old: its row of the images table.
        new: its row after `framed_table`.
        window: what is kept.
        tone: (1, h, w) in [0, 1] -> the same.
    """
    rows, columns = content_window(old)
    y0, y1, x0, x1 = window
    kept = tone(image[:, rows, columns][:, y0:y1, x0:x1])
    framed = torch.zeros_like(image)
    target = content_window(new)
    if kept.shape[1:] != content_size(new):
        kept = functional.interpolate(
            kept[None], content_size(new), mode="bilinear", antialias=True, align_corners=False
        )[0].clamp(0, 1)
    framed[:, target[0], target[1]] = kept
    return framed


def _placed(record: Record, window: Window, size: int) -> StoreTransform:
    y0, y1, x0, x1 = window
    height, width = (max(1, round(length / record["scale"])) for length in (y1 - y0, x1 - x0))
    return StoreTransform.fit(width, height, size)


def _records(table: pd.DataFrame) -> list[Record]:
    return list(table.to_dict("records"))
