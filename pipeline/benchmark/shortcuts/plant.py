"""Marks on images: once on every image of the base, then on those that a trial's strength asks for.

A sheet is the whole base with one mark on every image. A trial takes each image from the sheet or from the base, so
that planting and mark detection, which look at one image at a time, are paid for once and not once a trial.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.artifacts import atomic_folder, read_parquet, write_parquet
from pipeline.benchmark.planting import Planted
from pipeline.benchmark.shortcuts.grid import Mark, Trial
from pipeline.benchmark.shortcuts.study import Study
from pipeline.dataset import DatasetVersion, derive_version
from pipeline.flag import detect_dataset
from pipeline.randomness import numpy_generator
from pipeline.types import Box, StoreTransform

TRUTH_COLUMNS = {
    "image_id": "string",
    "kind": "string",
    "x0": "Float64",
    "y0": "Float64",
    "x1": "Float64",
    "y1": "Float64",
    "text": "string",
}
"""Columns of planted.parquet. Boxes are pixels of the original file; null for image-wide traits."""


@dataclass(frozen=True)
class Sheet:
    """Every base image with one mark: pixels, truth and what the detectors find on them, rows as in the base."""

    version: DatasetVersion
    truth: pd.DataFrame
    regions: pd.DataFrame

    @classmethod
    def read(cls, study: Study, mark: Mark | None) -> Sheet:
        """The sheet that `make_sheet` made."""
        folder = study.sheet(mark)
        version = DatasetVersion(folder / "version") if mark else study.base()
        return cls(version, read_parquet(folder / "planted.parquet"), read_parquet(folder / "regions.parquet"))


def make_sheet(study: Study, mark: Mark | None) -> None:
    """Plant `mark` on every base image and detect what is there; nothing is planted when None."""
    folder = study.sheet(mark)
    if folder.exists():
        return
    base = study.base()
    with atomic_folder(folder) as working:
        version, truth = _plant_all(base, mark, study.seed, working / "version") if mark else (base, [])
        table = pd.DataFrame(truth, columns=list(TRUTH_COLUMNS)).astype(TRUTH_COLUMNS)
        write_parquet(working / "planted.parquet", table)
        detect_dataset(version, working / "regions.parquet")


def _plant_all(
    base: DatasetVersion, mark: Mark, seed: int, target: Path
) -> tuple[DatasetVersion, list[dict[str, Any]]]:
    plant, truth = mark.planter, []

    def edit(table: pd.DataFrame, images: Tensor) -> Tensor:
        edited = images.clone()
        for image, record in zip(edited, table.to_dict("records"), strict=True):
            place = StoreTransform(*(record[name] for name in ("scale", "pad_x", "pad_y", "width", "height")))
            content = image[0, *_content(place)]
            generator = numpy_generator(seed, "plant", mark.id, str(record["image_id"]))
            picture, planted = plant(content.numpy(), generator)
            content.copy_(torch.from_numpy(picture))
            truth.append({"image_id": record["image_id"], **_truth(planted, place)})
        return edited

    lineage = {"operation": "plant", "mark": mark.id, "seed": seed}
    return derive_version(base, target, np.arange(len(base)), edit, mark.id, lineage), truth


def _content(place: StoreTransform) -> tuple[slice, slice]:
    """Rows and columns of the store that hold the original: marks are never planted on letterbox padding."""
    top, left = int(place.pad_y), int(place.pad_x)
    return (
        slice(top, top + round(place.height * place.scale)),
        slice(left, left + round(place.width * place.scale)),
    )


def _truth(planted: Planted, place: StoreTransform) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": planted.kind, "text": planted.text}
    if planted.box is not None:
        x0, y0, x1, y1 = planted.box.as_tuple()
        left, top = int(place.pad_x), int(place.pad_y)
        box = place.to_original(Box(x0 + left, y0 + top, x1 + left, y1 + top))
        found |= dict(zip(("x0", "y0", "x1", "y1"), box.as_tuple(), strict=True))
    return found


def marked_rows(base: DatasetVersion, trial: Trial, seed: int, *, swapped: bool = False) -> NDArray[np.bool_]:
    """Which base images carry the mark in `trial`, bool (n,); `swapped`: with the classes' chances exchanged.

    An image's lot depends on the mark and on itself alone, and is the same for both: at strength 1 the swapped
    marks stand on exactly the images that had none.
    """
    labels = base.labels(range(len(base)))
    what = trial.mark.id if trial.mark else "none"
    lots = np.array([numpy_generator(seed, "lot", what, str(name)).random() for name in base.images["image_id"]])
    return lots < np.array([trial.chance(int(label), swapped=swapped) for label in labels])


def composed(sheets: tuple[Sheet, Sheet], marked: NDArray[np.bool_], rows: NDArray[np.int64], target: Path) -> Sheet:
    """Images `rows`, from the second sheet where `marked` and from the first elsewhere; written to `target`.

    Args:
        sheets: without and with the mark.
        marked: one per image of the base (n,).
        rows: row numbers of the base, in the new order.
        target: folder of the new version.
    """
    plain, printed = sheets
    row_of = {str(name): row for row, name in enumerate(plain.version.images["image_id"])}

    def edit(table: pd.DataFrame, images: Tensor) -> Tensor:
        there = np.array([row_of[str(name)] for name in table["image_id"]])
        chosen = marked[there]
        edited = images.clone()
        edited[torch.from_numpy(chosen)] = printed.version.tensor(there[chosen])
        return edited

    version = derive_version(plain.version, target, rows, edit, target.name, {"operation": "compose"})
    with_mark = set(plain.version.images["image_id"][marked]) & set(version.images["image_id"])
    without = set(version.images["image_id"]) - with_mark
    regions = [_of(plain.regions, without), _of(printed.regions, with_mark)]
    return Sheet(version, _of(printed.truth, with_mark), pd.concat(regions, ignore_index=True))


def _of(table: pd.DataFrame, ids: set[str]) -> pd.DataFrame:
    return table[table["image_id"].isin(ids)].reset_index(drop=True)
