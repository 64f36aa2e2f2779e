"""New data-set versions: cleansed, and the control with equally large random regions cleansed instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.artifacts import code_version, content_hash
from pipeline.cleanse.masks import (
    Mask,
    Record,
    boxes_by_image,
    content_size,
    content_window,
    free_place,
    mark_mask,
    pieces,
)
from pipeline.cleanse.plan import Plan, regions_to_clean
from pipeline.dataset import DatasetVersion, Edit, derive_version
from pipeline.errors import InputError
from pipeline.fills import fill
from pipeline.randomness import derive_seed, numpy_generator, torch_generator

MaskOf = Callable[[Record], Mask | None]
"""Row of the images table -> what is filled in that image; None: nothing."""


def apply_plan(
    dataset: DatasetVersion,
    plan: Plan,
    regions: pd.DataFrame,
    datasets_root: Path,
    *,
    decoys: bool = False,
    seed: int = 0,
) -> DatasetVersion:
    """`dataset` with every region that `plan` selects filled, all classes and splits alike.

    Args:
        dataset: never changed.
        plan: made for `dataset`.
        regions: all detected regions, see `make_plan`.
        datasets_root: the new version goes to ``<datasets_root>/<name>/<version>``.
        decoys: also fill images without a selected region, at the places of a marked image drawn by image id.
            A fill leaves a trace (see `cleansing_probe`); where marks follow the class, so would that trace, and a
            retrained classifier could read it instead. With decoys it is equally frequent in all classes.
        seed: draws decoys, and noise for fills that need it.

    Raises:
        InputError: the plan is for another data set, or a mask leaves nothing of an image.
        EmptyResultError: the plan selects no region.
    """
    identity = {**lineage("cleansed", dataset, plan, regions, seed), "decoys": decoys}
    mask_of = marks(plan, regions_to_clean(plan, regions))
    edit = _filling(_with_decoys(dataset, mask_of, seed) if decoys else mask_of, plan, "cleanse", seed)
    return derive(dataset, np.arange(len(dataset)), edit, identity, datasets_root)


def random_control(
    dataset: DatasetVersion,
    plan: Plan,
    regions: pd.DataFrame,
    datasets_root: Path,
    *,
    decoys: bool = False,
    seed: int = 0,
) -> DatasetVersion:
    """`dataset` with as much filled, in the same images and shapes, at random places instead of the marks.

    Every connected part of the mask that `apply_plan` would fill, decoys included, is moved to a uniformly drawn place
    where its box meets neither a detected region of any kind nor a part already placed. Where an image has no such
    place, the least occupied one is taken; `lineage.json` counts those images as `crowded_images`.

    Args and raises: as `apply_plan`.
    """
    identity = {**lineage("random-control", dataset, plan, regions, seed), "decoys": decoys}
    mask_of, every = marks(plan, regions_to_clean(plan, regions)), marks(plan, regions)
    if decoys:
        mask_of = _with_decoys(dataset, mask_of, seed)

    def detected_of(record: Record) -> Mask:
        detected = every(record)
        return np.zeros(content_size(record), dtype=np.bool_) if detected is None else detected

    def moved(record: Record) -> Mask | None:
        mask = mask_of(record)
        return None if mask is None else _moved(mask, detected_of(record), record, seed)

    def crowded(record: Record) -> bool:
        mask, control = mask_of(record), moved(record)
        if mask is None or control is None:
            return False
        return bool((control & detected_of(record)).any() or control.sum() < mask.sum())

    edit = _filling(moved, plan, "control", seed)
    crowded_images = sum(map(crowded, dataset.images.to_dict("records")))
    rows = np.arange(len(dataset))
    return derive(dataset, rows, edit, identity, datasets_root, crowded_images=crowded_images)


def marks(plan: Plan, regions: pd.DataFrame) -> MaskOf:
    """Mask of an image's rows in `regions`, dilated as `plan` says."""
    boxes = boxes_by_image(regions)

    def mask_of(record: Record) -> Mask | None:
        found = boxes.get(record["image_id"])
        return None if found is None else mark_mask(found, record, plan.dilation)

    return mask_of


def filled(image: Tensor, record: Record, mask: Mask, plan: Plan, generator: torch.Generator) -> Tensor:
    """One stored image (1, S, S) with `mask` of its content filled.

    Raises:
        InputError: the mask covers the whole image.
    """
    if mask.all():
        raise InputError(
            f"The regions to remove cover all of image {record['image_id']} ({record['path']}). "
            "Reject the finding, lower `cleanse.dilation`, or exclude the image in the manifest."
        )
    rows, columns = content_window(record)
    content = image[None, :, rows, columns]
    result = image.clone()
    result[:, rows, columns] = fill(plan.fill)(content, torch.from_numpy(mask)[None, None], generator)[0]
    return result


def lineage(operation: str, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Everything a derived version follows from; its hash is the version.

    Raises:
        InputError: `plan` was made for another data set.
    """
    if plan.dataset != dataset.meta.version:
        raise InputError(
            f"The plan was made for data set version {plan.dataset}, this is version {dataset.meta.version}. "
            "Make a new plan."
        )
    tables = (regions_to_clean(plan, regions), regions)
    boxes = [{image: [box.as_tuple() for box in found] for image, found in boxes_by_image(t).items()} for t in tables]
    return {
        "operation": operation,
        "dataset": dataset.meta.version,
        "plan": plan.identity(),
        "regions": content_hash(boxes),
        "seed": seed,
        "code": code_version("pipeline.cleanse"),
    }


def derive(
    dataset: DatasetVersion,
    rows: NDArray[np.int64],
    edit: Edit,
    identity: dict[str, Any],
    datasets_root: Path,
    **facts: Any,
) -> DatasetVersion:
    """Write `rows` of `dataset` through `edit`, as the version that `identity` names; `facts` join its lineage."""
    version = content_hash(identity)
    target = datasets_root / dataset.meta.name / version
    return derive_version(dataset, target, rows, edit, version, {**identity, **facts})


def _filling(mask_of: MaskOf, plan: Plan, purpose: str, seed: int) -> Edit:
    def edit(table: pd.DataFrame, images: Tensor) -> Tensor:
        edited = images.clone()
        for position, record in enumerate(table.to_dict("records")):
            mask = mask_of(record)
            if mask is not None:
                generator = torch_generator(seed, purpose, record["image_id"])
                edited[position] = filled(images[position], record, mask, plan, generator)
        return edited

    return edit


def _with_decoys(dataset: DatasetVersion, mask_of: MaskOf, seed: int) -> MaskOf:
    """`mask_of`, and for an image without a mask that of a marked image, moved to the same relative places."""
    every = dataset.images.to_dict("records")
    marked = sorted((each for each in every if mask_of(each) is not None), key=lambda each: str(each["image_id"]))

    def decoyed(record: Record) -> Mask | None:
        own = mask_of(record)
        if own is not None:
            return own
        donor = marked[derive_seed(seed, "decoy", str(record["image_id"])) % len(marked)]
        size, borrowed = content_size(record), mask_of(donor)
        decoy = np.zeros(size, dtype=np.bool_)
        for piece in [] if borrowed is None else pieces(borrowed):
            fitting = piece.fitted(size)
            decoy[fitting.window(*fitting.same_place(content_size(donor), size))] |= fitting.shape
        return decoy

    return decoyed


def _moved(mask: Mask, detected: Mask, record: Record, seed: int) -> Mask:
    generator = numpy_generator(seed, "control", str(record["image_id"]))
    blocked, control = detected.copy(), np.zeros_like(mask)
    for piece in pieces(mask):
        window = piece.window(*free_place(piece, blocked, generator))
        control[window] |= piece.shape
        blocked[window] |= piece.shape
    return control
