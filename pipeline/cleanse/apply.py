"""The cleansed version of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from pipeline.cleanse.blind import check_class_blind
from pipeline.cleanse.decoys import with_decoys
from pipeline.cleanse.derived import derive, lineage
from pipeline.cleanse.filling import Filling
from pipeline.cleanse.holes import HolesOf, holes, records
from pipeline.cleanse.impact import by_class, changes
from pipeline.cleanse.lungs import Lungs
from pipeline.cleanse.normalise import draw_markers
from pipeline.cleanse.plan import Plan, regions_to_clean
from pipeline.dataset import DatasetVersion
from pipeline.progress import Progress, silent


def apply_plan(
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
    """`dataset` with every region that `plan` selects filled, all classes and splits alike.

    Before anything is written the selection is made again with labels, sources and splits dealt out anew and must be
    the same. `lineage.json` says what it was made from, that it passed this check (`class_blind`), and what changed,
    decoys included (`changed`, by class, see `pipeline.cleanse.impact.by_class`).

    Args:
        dataset: never changed.
        plan: made for `dataset`.
        regions: all detected regions, see `make_plan`. Rows that `hold_back` marked stay as they are.
        datasets_root: the new version goes to ``<datasets_root>/<name>/<version>``; an interrupted attempt resumes.
        decoys: also fill images without a selected region, at the places of a marked image drawn by image id.
            A fill leaves a trace (see `cleansing_probe`); where marks follow the class, so would that trace, and a
            retrained classifier could read it instead. With decoys it is equally frequent in all classes.
        lungs: where they are, no decoy is put; None: nobody looked for lungs.
        seed: draws decoys, and noise for fills that need it.
        bundles: see `pipeline.fills.fill`.
        device: where fills that are networks run.
        progress: told about the stage "cleansed".

    Raises:
        InputError: the plan is for another data set, or a mask leaves nothing of an image.
        EmptyResultError: the plan selects no region.
        IntegrityError: what would be filled depends on more than the picture.
    """
    identity = {**lineage("cleansed", dataset, plan, regions, seed, bundles=bundles, lungs=lungs), "decoys": decoys}

    def make(images: pd.DataFrame) -> HolesOf:
        return planned(images, plan, regions, decoys=decoys, seed=seed, lungs=lungs)

    holes_of, fill_holes = make(dataset.images), Filling(plan, "cleanse", seed, bundles, device)

    def edit(table: pd.DataFrame, images: Tensor) -> Tensor:
        of = records(table)
        filled = fill_holes(images, table, [holes_of(record) for record in of])
        return draw_markers(filled, of) if plan.normalises else filled

    def facts() -> dict[str, Any]:
        changed = changes(dataset.images, holes_of, plan, lungs)
        return {
            "class_blind": check_class_blind(dataset.images, make, seed),
            "changed": by_class(changed, dataset),
        }

    rows = np.arange(len(dataset))
    return derive(dataset, rows, edit, identity, datasets_root, facts=facts, progress=progress)


def planned(
    images: pd.DataFrame, plan: Plan, regions: pd.DataFrame, *, decoys: bool, seed: int, lungs: Lungs | None
) -> HolesOf:
    """What `plan` fills in every row of an images table, with decoys where they are wanted."""
    marked = holes(plan, regions_to_clean(plan, regions))
    return with_decoys(records(images), marked, seed, lungs) if decoys else marked
