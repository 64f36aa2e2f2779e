"""The marker-swapped test: the same anatomy with the marks of the other class.

A classifier that reads the marks is misled by these images; one that reads the disease is not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.artifacts import content_hash
from pipeline.cleanse.apply import MaskOf, derive, filled, lineage, marks
from pipeline.cleanse.masks import Piece, Record, content_size, content_window, pieces
from pipeline.cleanse.plan import Plan, regions_to_clean
from pipeline.dataset import DatasetVersion
from pipeline.errors import EmptyResultError
from pipeline.randomness import derive_seed, torch_generator

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
) -> DatasetVersion:
    """`rows` of `dataset` with the marks that `plan` selects exchanged between positive and other images.

    Each image loses its own marks (filled as in cleansing) and gains those of a donor from the other side:
    the donor's ink, original minus filled, is added at the same relative place, and clamped. Ink, not pixels,
    is moved, so no anatomy comes with it. Donors are cycled over *all* images of the other side, those without
    marks too, so that the frequency of marks is exchanged with them. Labels and splits stay.

    Args:
        dataset: never changed.
        plan: made for `dataset`.
        regions: all detected regions, see `make_plan`.
        datasets_root: the new version goes to ``<datasets_root>/<name>/<version>``.
        rows: which images; the test split when None.
        seed: pairs recipients with donors.

    Raises:
        EmptyResultError: `rows` lack positive or lack other images.
        InputError: the plan is for another data set, or a mask leaves nothing of an image.
    """
    chosen = dataset.rows("test") if rows is None else rows
    mask_of = marks(plan, regions_to_clean(plan, regions))
    donor_of = donors(dataset, chosen, seed)
    records = dataset.images.to_dict("records")

    def clean(image: Tensor, record: Record) -> Tensor:
        mask = mask_of(record)
        generator = torch_generator(seed, "swap", record["image_id"])
        return image if mask is None else filled(image, record, mask, plan, generator)

    def edit(table: pd.DataFrame, images: Tensor) -> Tensor:
        swapped = [clean(image, record) for image, record in zip(images, table.to_dict("records"), strict=True)]
        for image, recipient in zip(swapped, table.to_dict("records"), strict=True):
            row = donor_of[recipient["image_id"]]
            ink = _lift(dataset.tensor([row])[0], records[row], mask_of, clean)
            rows, columns = content_window(recipient)
            image[:, rows, columns] = _print(image[:, rows, columns], ink, content_size(records[row]))
        return torch.stack(swapped)

    identity = lineage("marker-swapped", dataset, plan, regions, seed)
    identity["images"] = content_hash(dataset.images["image_id"].iloc[chosen].tolist())
    return derive(dataset, chosen, edit, identity, datasets_root)


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


def _lift(image: Tensor, record: Record, mask_of: MaskOf, clean: Callable[[Tensor, Record], Tensor]) -> Ink:
    mask = mask_of(record)
    if mask is None:
        return []
    rows, columns = content_window(record)
    added = (image - clean(image, record))[:, rows, columns]
    return [(piece, added[(slice(None), *piece.window(piece.y, piece.x))]) for piece in pieces(mask)]


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
