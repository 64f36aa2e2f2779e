"""The marker-swapped test: the same anatomy with the marks of the other class.

A classifier that reads the marks is misled by these images; one that reads the disease is not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.artifacts import content_hash
from pipeline.cleanse.derived import derive, lineage
from pipeline.cleanse.filling import Filling
from pipeline.cleanse.holes import Holes, holes, records
from pipeline.cleanse.masks import Piece, content_size, content_window, pieces
from pipeline.cleanse.plan import Plan, regions_to_clean
from pipeline.dataset import DatasetVersion
from pipeline.errors import EmptyResultError
from pipeline.progress import Progress, silent
from pipeline.randomness import derive_seed

TOGETHER = 32
"""Donors in memory at a time."""

Ink = list[tuple[Piece, Tensor]]
"""Marks lifted off an image: their shape and place, and what they added to the pixels below (1, h, w)."""


def marker_swapped(
    dataset: DatasetVersion,
    plan: Plan,
    regions: pd.DataFrame,
    datasets_root: Path,
    *,
    rows: NDArray[np.int64] | None = None,
    seed: int = 0,
    bundles: Path | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> DatasetVersion:
    """`rows` of `dataset` with the marks that `plan` selects exchanged between positive and other images.

    Each image loses its own marks (filled as in cleansing) and gains those of a donor from the other side:
    the donor's ink, original minus filled, is added at the same relative place, and clamped. Ink, not pixels,
    is moved, so no anatomy comes with it. Donors are cycled over *all* images of the other side, those without
    marks too, so that the frequency of marks is exchanged with them. Labels and splits stay. No neutral marker is
    drawn, whatever the plan normalises: these are the marks as they are.

    Args:
        dataset: never changed.
        plan: made for `dataset`.
        regions: all detected regions, see `make_plan`. Rows that `hold_back` marked stay as they are.
        datasets_root: the new version goes to ``<datasets_root>/<name>/<version>``.
        rows: which images; the test split when None.
        seed: pairs recipients with donors.
        bundles: see `pipeline.fills.fill`.
        device: where fills that are networks run.
        progress: told about the stage "marker-swapped".

    Raises:
        EmptyResultError: `rows` lack positive or lack other images.
        InputError: the plan is for another data set, or a mask leaves nothing of an image.
    """
    chosen = dataset.rows("test") if rows is None else rows
    holes_of = holes(plan, regions_to_clean(plan, regions))
    fill_holes = Filling(plan, "swap", seed, bundles, device)
    donor_of = donors(dataset, chosen, seed)

    def clean(table: pd.DataFrame, images: Tensor) -> tuple[Tensor, list[Holes | None]]:
        found = [holes_of(record) for record in records(table)]
        return fill_holes(images, table, found), found

    def edit(table: pd.DataFrame, images: Tensor) -> Tensor:
        swapped, _ = clean(table, images)
        recipients = records(table)
        for start in range(0, len(table), TOGETHER):
            block = range(start, min(start + TOGETHER, len(table)))
            givers = [donor_of[str(recipients[number]["image_id"])] for number in block]
            marked = dataset.tensor(givers)
            cleaned, found = clean(dataset.images.iloc[givers], marked)
            homes = records(dataset.images.iloc[givers])
            for number, added, mask, home in zip(block, marked - cleaned, found, homes, strict=True):
                window = (number, slice(None), *content_window(recipients[number]))
                ink = _lift(added[(slice(None), *content_window(home))], mask)
                swapped[window] = _print(swapped[window], ink, content_size(home))
        return swapped

    identity = lineage("marker-swapped", dataset, plan, regions, seed, bundles=bundles)
    identity["images"] = content_hash(dataset.images["image_id"].iloc[chosen].tolist())
    return derive(dataset, chosen, edit, identity, datasets_root, progress=progress)


def donors(dataset: DatasetVersion, rows: NDArray[np.int64], seed: int) -> dict[str, int]:
    """Row of the donor of each image in `rows`: positive images give to the others and the reverse.

    Both sides are shuffled by a hash of seed and image id, so the order of `rows` does not matter.

    Raises:
        EmptyResultError: one side has no image.
    """
    table = dataset.images.iloc[rows].assign(row=rows)
    table["rank"] = [derive_seed(seed, "donor", str(image_id)) for image_id in table["image_id"]]
    table = table.sort_values("rank")
    is_positive = (table["label"] == dataset.meta.positive).to_numpy(dtype=bool)
    sides = (table[is_positive], table[~is_positive])
    if not (len(sides[0]) and len(sides[1])):
        raise EmptyResultError(
            f"Swapping marks needs images of {dataset.meta.positive!r} and of other classes; "
            f"found {len(sides[0])} and {len(sides[1])}. Give a test split that holds both."
        )
    return {
        str(image_id): int(side["row"].iloc[number % len(side)])
        for recipients, side in (sides, sides[::-1])
        for number, image_id in enumerate(recipients["image_id"])
    }


def _lift(added: Tensor, mask: Holes | None) -> Ink:
    if mask is None:
        return []
    return [(piece, added[(slice(None), *piece.window(piece.y, piece.x))]) for piece in pieces(mask > 0)]


def _print(content: Tensor, ink: Ink, home: tuple[int, int]) -> Tensor:
    printed = content.clone()
    height, width = content.shape[1:]
    for piece, added in ink:
        # A mark larger than the recipient loses what would stand outside it.
        fitting = piece.fitted((height, width))
        shape = torch.from_numpy(fitting.shape)
        window = (slice(None), *fitting.window(*fitting.same_place(home, (height, width))))
        printed[window] += added[:, : shape.shape[0], : shape.shape[1]] * shape
    return printed.clamp(0, 1)
