"""The control: as much filled as in cleansing, but somewhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from pipeline.cleanse.apply import planned
from pipeline.cleanse.derived import derive, lineage
from pipeline.cleanse.filling import Filling
from pipeline.cleanse.holes import Holes, marks, records
from pipeline.cleanse.lungs import Lungs
from pipeline.cleanse.masks import Mask, Record, content_size, free_place, pieces
from pipeline.cleanse.plan import Plan
from pipeline.dataset import DatasetVersion
from pipeline.progress import Progress, silent
from pipeline.randomness import numpy_generator


def random_control(
    dataset: DatasetVersion,
    plan: Plan,
    regions: pd.DataFrame,
    datasets_root: Path,
    *,
    decoys: bool = False,
    lungs: Lungs | None = None,
    seed: int = 0,
    bundles: Path | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> DatasetVersion:
    """`dataset` with as much filled, in the same images, shapes and fills, at random places instead of the marks.

    Every connected part of what `apply_plan` would fill, decoys included, is moved to a uniformly drawn place where
    its box meets neither a detected region of any kind nor a part already placed; lungs are no exception, for nobody
    keeps a control. Where an image has no such place, the least occupied one is taken; `lineage.json` counts those
    images as `crowded_images`. No neutral marker is drawn: it could hide a mark, and the control keeps its marks.

    Args and raises: as `apply_plan`.
    """
    operation = "random-control"
    identity = {**lineage(operation, dataset, plan, regions, seed, bundles=bundles, lungs=lungs), "decoys": decoys}
    holes_of = planned(dataset.images, plan, regions, decoys=decoys, seed=seed, lungs=lungs)
    every, fill_holes = marks(plan, regions), Filling(plan, "control", seed, bundles, device)

    def detected(record: Record) -> Mask:
        found = every(record)
        return np.zeros(content_size(record), dtype=np.bool_) if found is None else found

    def moved(record: Record) -> Holes | None:
        holes = holes_of(record)
        return None if holes is None else _moved(holes, detected(record), record, seed)

    def crowded(record: Record) -> bool:
        holes, control = holes_of(record), moved(record)
        if holes is None or control is None:
            return False
        return bool(control[detected(record)].any() or (control > 0).sum() < (holes > 0).sum())

    def edit(table: pd.DataFrame, images: Tensor) -> Tensor:
        return fill_holes(images, table, [moved(record) for record in records(table)])

    def facts() -> dict[str, Any]:
        return {"crowded_images": sum(map(crowded, records(dataset.images)))}

    rows = np.arange(len(dataset))
    return derive(dataset, rows, edit, identity, datasets_root, facts=facts, progress=progress)


def _moved(holes: Holes, detected: Mask, record: Record, seed: int) -> Holes:
    generator = numpy_generator(seed, "control", str(record["image_id"]))
    blocked, control = detected.copy(), np.zeros_like(holes)
    for piece in pieces(holes > 0):
        window = piece.window(*free_place(piece, blocked, generator))
        control[window] = np.where(piece.shape, holes[piece.window(piece.y, piece.x)], control[window])
        blocked[window] |= piece.shape
    return control
