"""The images that marks are planted on: two classes of one source, taken from a data set or generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.dataset import (
    IMAGE_COLUMNS,
    SHARD,
    DatasetMeta,
    DatasetVersion,
    derive_version,
    from_unit,
    write_version,
)
from pipeline.errors import InputError, did_you_mean
from pipeline.ingest.synthetic import NEGATIVE, POSITIVE, Phantom, PhantomSpec, render
from pipeline.randomness import derive_seed

SPLITS = ("train", "val", "test")
PHANTOM_SIGNAL = 0.6
"""Visibility of the opacities: a classifier finds them with effort."""
_SPLIT_OF_PAIR = (*["test"] * 3, *["val"] * 2, *["train"] * 7)
"""Patients come in pairs, one of each class: splits that follow the pair keep patients apart and classes even."""


def take_base(
    dataset: DatasetVersion, classes: Sequence[str], sources: Sequence[str], images: int, seed: int, target: Path
) -> DatasetVersion:
    """The images of two classes and of some sources, without the other-source split, as a version of their own.

    Args:
        dataset: never changed.
        classes: two of its classes, the positive one last; its own two when empty.
        sources: names in its column `source`; all when empty.
        images: at most so many, drawn at random.
        seed: draws them.
        target: folder of the new version.

    Raises:
        InputError: an unknown class or source, not two classes, or a class that is missing in a split.
    """
    asked = tuple(classes) or dataset.meta.classes
    for name, allowed in (
        *((name, dataset.meta.classes) for name in asked),
        *((name, tuple(dataset.images["source"].dropna().unique())) for name in sources),
    ):
        if name not in allowed:
            raise InputError(f"{dataset.path} has no {name!r}. {did_you_mean(name, allowed)}")
    if len(set(asked)) != 2:
        raise InputError(f"A shortcut is planted into two classes, found {len(set(asked))}: {', '.join(asked)}.")
    table = dataset.images
    chosen = table["split"].isin(SPLITS) & table["label"].isin(asked)
    if sources:
        chosen &= table["source"].isin(sources)
    rows = _sample(table, np.flatnonzero(chosen.to_numpy(dtype=bool)).astype(np.int64), images, seed)
    _check(table.iloc[rows], asked)
    parent = DatasetVersion(dataset.path)
    positive = dataset.meta.positive if dataset.meta.positive in asked else asked[-1]
    parent.meta = replace(dataset.meta, classes=asked, positive=positive)
    return derive_version(parent, target, rows, _as_it_is, "base", {"classes": asked, "sources": list(sources)})


def _sample(table: pd.DataFrame, rows: NDArray[np.int64], images: int, seed: int) -> NDArray[np.int64]:
    """At most `images` of `rows`, drawn by image alone, so that splits and classes stay mixed as they are."""
    ids = table["image_id"].iloc[rows].astype(str)
    draws = np.argsort([derive_seed(seed, "shortcut base", image_id) for image_id in ids])
    return np.sort(rows[draws[:images]])


def _as_it_is(table: pd.DataFrame, images: Tensor) -> Tensor:
    return images


def _check(images: pd.DataFrame, classes: Sequence[str]) -> None:
    counts = images.groupby(["split", "label"]).size()
    empty = [f"{name} in {split}" for split in SPLITS for name in classes if counts.get((split, name), 0) < 2]
    if empty:
        raise InputError(
            f"Fewer than two images of {', '.join(empty)}. Take more sources, or ingest again with other fractions."
        )


def phantom_base(images: int, size: int, seed: int, target: Path) -> DatasetVersion:
    """Generated x-rays without any mark as a dataset version; `target` is returned as it is when it exists.

    Args:
        images: how many; patients keep to one split.
        size: side, pixels.
        seed: everything derives from it.
        target: folder of the version.
    """
    if target.exists():
        return DatasetVersion(target)
    spec = PhantomSpec(images, 0, size, strength=0.0, honest_signal=PHANTOM_SIGNAL, seed=seed)
    tables = []
    with write_version(target, size, "uint8") as writer:
        for start in range(0, images, SHARD):
            block = range(start, min(start + SHARD, images))
            phantoms = [render(spec, number, "phantom-a", with_marks=False) for number in block]
            tables.append(pd.DataFrame([_row(each, number) for each, number in zip(phantoms, block, strict=True)]))
            pixels = torch.from_numpy(np.stack([each.image for each in phantoms])).unsqueeze(1)
            writer.write_shard(start // SHARD, tables[-1], from_unit(pixels, "uint8"))
        meta = DatasetMeta("phantom", "base", "Phantoms", (NEGATIVE, POSITIVE), POSITIVE, size, "uint8")
        writer.finish(meta, pd.concat(tables, ignore_index=True), len(tables))
    return DatasetVersion(target)


def _row(phantom: Phantom, number: int) -> dict[str, object]:
    """Of the images table; a phantom is stored as it was generated."""
    side = len(phantom.image)
    pair = int(phantom.patient.rsplit("-", 1)[1]) // 2
    return {
        **dict.fromkeys(IMAGE_COLUMNS),
        "image_id": f"phantom-{number:05d}",
        "path": f"phantom-{number:05d}",
        "source": "phantom-a",
        "label": phantom.label,
        "patient_id": phantom.patient,
        "view": phantom.view,
        "sex": phantom.sex,
        "age": phantom.age,
        "split": _SPLIT_OF_PAIR[pair % len(_SPLIT_OF_PAIR)],
        "width": side,
        "height": side,
        "scale": 1.0,
        "pad_x": 0,
        "pad_y": 0,
    }
