"""Where the evidence really is: true boxes of printed marks, and which of them a classifier reads.

A box says where a mark is, not that anybody looks at it. So a mark counts as the truth of an image only where
removing it costs the explained class `DECISIVE` of its probability; elsewhere nobody knows what a right map is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.artifacts import sha256_file
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError
from pipeline.fills import fill
from pipeline.inference import probabilities
from pipeline.types import Box

DECISIVE = 0.25
"""Probability that the explained class loses, at least, when the mark that decides it is taken out."""
_RIM = 2.0
"""Box grown by this many input pixels before its content is removed: resizing smears ink over the edge."""
_FILL = "telea"
_COLUMNS = ("path", "x0", "y0", "x1", "y1")
_BATCH = 16

Marks = Mapping[str, tuple[Box, ...]]
"""Path as in the images table -> true boxes in original pixels."""


def read_marks(path: Path) -> Marks:
    """The boxes of a table ``path, x0, y0, x1, y1`` (CSV, original pixels, x1 and y1 exclusive; more columns allowed).

    Raises:
        InputError: no such table, a column is missing, or a box is empty.
    """
    try:
        table = pd.read_csv(path, dtype={"path": str}, keep_default_na=False)
        boxes = [(str(row["path"]), Box(*(float(row[name]) for name in _COLUMNS[1:]))) for _, row in table.iterrows()]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path} holds no marks ({type(error).__name__}: {error}). A CSV with the columns {', '.join(_COLUMNS)} "
            "is needed, boxes in pixels of the original image."
        ) from error
    found: dict[str, tuple[Box, ...]] = {}
    for name, box in boxes:
        found[name] = (*found.get(name, ()), box)
    return found


def planted_marks(dataset: DatasetVersion) -> Marks | None:
    """True boxes of generated images, which lie beside the data set in its workspace; None for other data.

    Phantoms are told by the bytes of their files, not by name.
    """
    first = dataset.images.iloc[0]
    for table in sorted(dataset.path.resolve().parents[2].glob("generated/*/marks.csv")):
        image = table.parent / str(first["path"])
        if image.is_file() and sha256_file(image) == first["file_sha256"]:
            return read_marks(table)
    return None


def box_mask(box: Box, store: int, spec: ModelSpec) -> NDArray[np.bool_]:
    """Bool (H, W) at input resolution: every pixel that `box`, in pixels of a store of side `store`, touches."""
    height, width = spec.input_size
    mask = np.zeros((height, width), dtype=bool)
    inside = Box(
        box.x0 * width / store, box.y0 * height / store, box.x1 * width / store, box.y1 * height / store
    ).clipped(width, height)
    if inside is not None:
        x0, y0, x1, y1 = inside.as_tuple()
        mask[int(np.floor(y0)) : int(np.ceil(y1)), int(np.floor(x0)) : int(np.ceil(x1))] = True
    return mask


def deciding_marks(
    model: nn.Module,
    spec: ModelSpec,
    dataset: DatasetVersion,
    rows: NDArray[np.int64],
    targets: NDArray[np.int64],
    marks: Marks,
) -> list[Box | None]:
    """For each row the box, in stored pixels, of the mark that decides its class; None where none is known to.

    Every mark is removed in turn (fast marching inpainting); the one whose removal costs the target most
    probability decides, if that is at least `DECISIVE`.

    Args:
        model: classifier in evaluation mode.
        spec: its contract.
        dataset: where the pixels are.
        rows: row numbers (n,).
        targets: explained class of each row (n,).
        marks: true boxes.
    """
    decisive: list[Box | None] = [None] * len(rows)
    most = np.full(len(rows), DECISIVE)
    candidates = [
        (number, dataset.transform(row).to_store(box))
        for number, row in enumerate(rows.tolist())
        for box in marks.get(str(dataset.images["path"].iloc[row]), ())
    ]
    for start in range(0, len(candidates), _BATCH):
        numbers, boxes = zip(*candidates[start : start + _BATCH], strict=True)
        drops = _drops(model, spec, dataset, rows[list(numbers)], targets[list(numbers)], boxes)
        for number, box, drop in zip(numbers, boxes, drops, strict=True):
            if drop >= most[number]:
                most[number], decisive[number] = drop, box
    return decisive


def truth_masks(boxes: Sequence[Box | None], store: int, spec: ModelSpec) -> Tensor:
    """Bool (n, 1, H, W) at input resolution for boxes in pixels of a store of side `store`; None gives all False."""
    empty = np.zeros(spec.input_size, dtype=bool)
    return torch.from_numpy(np.stack([empty if box is None else box_mask(box, store, spec) for box in boxes])[:, None])


def _drops(
    model: nn.Module,
    spec: ModelSpec,
    dataset: DatasetVersion,
    rows: NDArray[np.int64],
    targets: NDArray[np.int64],
    boxes: tuple[Box, ...],
) -> NDArray[np.float32]:
    """Probability (n,) that the target of each row loses when the content of its box, in stored pixels, goes."""
    images = spec.resize(dataset.tensor(rows))
    rim = _RIM * dataset.meta.size / max(spec.input_size)
    where = truth_masks([box.dilated(rim) for box in boxes], dataset.meta.size, spec)
    without = fill(_FILL)(images, where, None)
    before, after = (probabilities(model, spec.preprocess(each)) for each in (images, without))
    drops: NDArray[np.float32] = np.take_along_axis(before - after, targets[:, None], axis=1)[:, 0]
    return drops
