"""Image-wide traits of all images of a dataset version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.dataset import DatasetVersion
from pipeline.flag.film.traits import TRAITS, measure_traits
from pipeline.flag.parts import stored_picture, table_by_parts
from pipeline.progress import Progress, silent
from pipeline.spread import Spread, here

TRAIT_COLUMNS: dict[str, str] = {"image_id": "string", **dict.fromkeys(TRAITS, "float64")}
"""Columns of traits.parquet: one row an image; NaN where a trait cannot be measured."""


def traits_dataset(
    dataset: DatasetVersion,
    out: Path,
    *,
    rows: NDArray[np.int64] | None = None,
    spread: Spread = here,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Measure every image of `dataset` and write the table to `out` (traits.parquet); see `table_by_parts`.

    Args:
        dataset: what is measured, at the resolution of its pixel store, without letterbox padding.
        out: the table's path.
        rows: which images, in table order; all when None.
        spread: who does the parts.
        progress: told after every part.

    Returns:
        Columns of `TRAIT_COLUMNS`, in the order of the images table.
    """
    return table_by_parts(
        dataset, out, traits_of, TRAIT_COLUMNS, stage="measure traits", rows=rows, spread=spread, progress=progress
    )


def traits_of(dataset: DatasetVersion, row: int) -> list[dict[str, Any]]:
    """The record of one image."""
    return [{"image_id": str(dataset.images["image_id"].iloc[row]), **measure_traits(stored_picture(dataset, row))}]
