"""metadata.csv: one row an image, what is known of it and which marks stood on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from pipeline.artifacts import write_text
from pipeline.dataset import IMAGE_COLUMNS
from pipeline.export.images import ExportImage
from pipeline.export.source import Source
from pipeline.spreadsheets import csv_text
from pipeline.types import REGION_KINDS

TEXT_KINDS: Final = frozenset({"side", "position", "word", "panel", "date", "number", "identifier", "glyph"})
"""Kinds made of characters."""
_OF_THE_STORE: Final = ("scale", "pad_x", "pad_y")
"""Columns of the images table about the pixel store, which an export does not hold."""


def metadata(source: Source, images: Sequence[ExportImage]) -> pd.DataFrame:
    """The public columns of the images table, and for each image:

    ``n_<kind>``: regions of each kind found on it, null where nobody looked; ``has_text``: any of them are characters;
    ``regions_removed``, ``regions_held_back``: how many of them the plan removes, and leaves to a person;
    ``findings``: ids of the findings that removed them, separated by semicolons; ``changed_pixels``: of the original
    size, decoys included; ``png``: its path in `images/` and `masks/`.
    """
    columns = [name for name in IMAGE_COLUMNS if name not in _OF_THE_STORE]
    table = source.dataset.images[columns].copy()
    by_image = table["image_id"].astype(str)
    if source.regions is not None:
        table = pd.concat([table, _artefacts(source.regions).reindex(by_image).reset_index(drop=True)], axis=1)
        counted = [*(f"n_{kind}" for kind in REGION_KINDS), "regions_removed", "regions_held_back"]
        table[counted] = table[counted].fillna(0).astype("Int64")
        table["has_text"] = table[[f"n_{kind}" for kind in sorted(TEXT_KINDS)]].sum(axis=1) > 0
    filled = {image.image_id: int(image.mask().sum()) for image in images}
    names = {image.image_id: image.png for image in images}
    return table.assign(changed_pixels=by_image.map(filled), png=by_image.map(names))


def write_metadata(table: pd.DataFrame, target: Path) -> None:
    """Store as CSV; unknown is empty, and no text can be taken for a formula, see `pipeline.spreadsheets`."""
    write_text(target, csv_text(table))


def _artefacts(regions: pd.DataFrame) -> pd.DataFrame:
    """Counts and finding ids of each image that has a region, by image id."""
    image = regions["image_id"].astype(str)
    kinds = pd.crosstab(image, regions["kind"]).reindex(columns=list(REGION_KINDS), fill_value=0).add_prefix("n_")
    found = regions.assign(image_id=image).groupby("image_id")
    return kinds.assign(
        regions_removed=found["removed"].sum(),
        regions_held_back=found["held_back"].count(),
        findings=found["finding"].agg(lambda ids: ";".join(sorted(set(ids.dropna()))) or None),
    )
