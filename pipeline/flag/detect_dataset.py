"""Regions of all images of a dataset version, part by part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.dataset import DatasetVersion
from pipeline.flag.detect import detect
from pipeline.flag.parts import stored_picture, table_by_parts
from pipeline.progress import Progress, silent
from pipeline.spread import Spread, here
from pipeline.types import Box, Region

REGION_COLUMNS: dict[str, str] = {
    "region_id": "string",
    "image_id": "string",
    "kind": "string",
    "text": "string",
    "x0": "float64",
    "y0": "float64",
    "x1": "float64",
    "y1": "float64",
    "detector": "string",
    "confidence": "float64",
}
"""Columns of regions.parquet. Boxes are pixels of the original file, x1 and y1 exclusive."""


def detect_dataset(
    dataset: DatasetVersion,
    out: Path,
    *,
    rows: NDArray[np.int64] | None = None,
    spread: Spread = here,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Find regions on every image of `dataset` and write them to `out` (regions.parquet); see `table_by_parts`.

    Args:
        dataset: what is searched, at the resolution of its pixel store.
        out: the table's path.
        rows: which images, in table order; all when None.
        spread: who does the parts.
        progress: told after every part.

    Returns:
        The table, columns of `REGION_COLUMNS`, in the order of the images table; images without regions have no row.
    """
    return table_by_parts(
        dataset, out, regions_of, REGION_COLUMNS, stage="detect marks", rows=rows, spread=spread, progress=progress
    )


def regions_of(dataset: DatasetVersion, row: int) -> list[dict[str, Any]]:
    """Records of the regions of one image, in original pixels; the letterbox padding is never looked at."""
    place = dataset.transform(row)
    top, left = int(place.pad_y), int(place.pad_x)
    records = []
    for region in detect(stored_picture(dataset, row), image_id=str(dataset.images["image_id"].iloc[row])):
        x0, y0, x1, y1 = region.box.as_tuple()
        moved = place.to_original(Box(x0 + left, y0 + top, x1 + left, y1 + top)).clipped(place.width, place.height)
        if moved is not None:
            found = Region(region.image_id, region.kind, moved, region.detector, region.confidence, region.text)
            records.append(_record(found))
    return records


def _record(region: Region) -> dict[str, Any]:
    corners = dict(zip(("x0", "y0", "x1", "y1"), region.box.as_tuple(), strict=True))
    return {
        "region_id": region.region_id,
        "image_id": region.image_id,
        "kind": region.kind,
        "text": region.text,
        **corners,
        "detector": region.detector,
        "confidence": region.confidence,
    }
