"""The one maker of masks: what of an image is filled, and with what."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.cleanse.masks import Mask, Record, box_window, content_size
from pipeline.cleanse.plan import Plan, policies
from pipeline.types import Box

Holes = NDArray[np.uint8]
"""(h, w) over the content of an image's store: 0 = stays, n = filled by the n-th of the plan's fills, from 1."""
HolesOf = Callable[[Record], Holes | None]
"""What is filled in an image; None: nothing."""
MaskOf = Callable[[Record], Mask | None]
"""The same, whatever the fill."""

BLIND_COLUMNS = ("image_id", "width", "height", "scale", "pad_x", "pad_y")
"""All that a maker of masks is told about an image: which it is and how it lies in the store."""


def records(images: pd.DataFrame) -> list[Record]:
    """Rows of an images table without label, source, split or anything else that could tell the class."""
    return [dict(record) for record in images[list(BLIND_COLUMNS)].to_dict("records")]


def holes(plan: Plan, regions: pd.DataFrame) -> HolesOf:
    """Holes of an image's rows in `regions`, grown and filled as the line that names them says, else as the plan says.

    Where regions of different fills overlap, the later fill in `Plan.fills` has its way.
    """
    by_image: dict[str, list[tuple[Box, int, float]]] = {}
    lines = policies(plan, regions)["line"]
    columns = (regions[name] for name in ("image_id", "x0", "y0", "x1", "y1"))
    for number, image_id, *corners in zip(lines, *columns, strict=True):
        fill = plan.fills.index(plan.fill_of(number)) + 1
        entry = (Box(*(float(value) for value in corners)), fill, plan.dilation_of(number))
        by_image.setdefault(str(image_id), []).append(entry)

    def holes_of(record: Record) -> Holes | None:
        found = by_image.get(str(record["image_id"]))
        if found is None:
            return None
        made = np.zeros(content_size(record), dtype=np.uint8)
        for box, number, dilation in found:
            window = box_window(box, record, dilation)
            made[window] = np.maximum(made[window], number)
        return made

    return holes_of


def marks(plan: Plan, regions: pd.DataFrame) -> MaskOf:
    """Mask of an image's rows in `regions`, grown as `plan` says."""
    holes_of = holes(plan, regions)

    def mask_of(record: Record) -> Mask | None:
        found = holes_of(record)
        return None if found is None else found > 0

    return mask_of
