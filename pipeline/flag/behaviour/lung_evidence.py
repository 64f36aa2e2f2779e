"""How much of the saliency lies in the lungs, and how much outside them where no detector found anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.dataset import DatasetVersion
from pipeline.flag.behaviour.controls import box_mask, content_box, removal_box
from pipeline.flag.behaviour.estimates import mean_estimate
from pipeline.flag.behaviour.evidence import read_maps
from pipeline.flag.behaviour.removal import stored_boxes
from pipeline.randomness import numpy_generator
from pipeline.statistics import clusters

PLACES = ("lungs", "outside", "unexplained")
"""Lung fields; the rest of the content; of that, what lies in no detected region."""
MEASURES = ("share", "area", "enrichment")

Lungs = Callable[[int], NDArray[np.bool_] | None]
"""Row -> lung fields (S, S) in stored pixels, None where unknown."""
_Mask = NDArray[np.bool_]

COLUMNS: dict[str, str] = {
    **dict.fromkeys(("image_id", "label", "patient_id", "method"), "string"),
    "target": "int64",
    **{f"{place}_{measure}": "Float64" for place in PLACES for measure in MEASURES},
}
"""Columns of the table of `lung_evidence`."""


def lung_evidence(
    dataset: DatasetVersion, regions: pd.DataFrame, saliency_folder: Path, methods: Sequence[str], lungs: Lungs
) -> pd.DataFrame:
    """Saliency inside and outside the lungs, one row per explained image with known lungs, and method.

    For each place of `PLACES`: `<place>_share` of the positive saliency in the content; `<place>_area`, the place's
    share of the content; `<place>_enrichment` = share / area, 1 for a constant map. Null share and enrichment where a
    map holds no positive saliency, null enrichment where the place is empty. Letterbox padding counts nowhere.

    Args:
        dataset: where the images are.
        regions: the regions table, boxes in original pixels.
        saliency_folder: holds ``<method>.zarr`` and ``<method>.parquet``, see `region_evidence`.
        methods: explainers to read.
        lungs: lung fields of a row.

    Raises:
        IntegrityError: maps and their table disagree.
    """
    by_image = {str(image_id): part for image_id, part in regions.groupby("image_id", sort=True)}
    records: list[dict[str, Any]] = []
    for method in methods:
        for image_id, row, target, saliency in read_maps(saliency_folder, method):
            mask = lungs(row)
            if mask is not None:
                facts = dataset.images.iloc[row]
                names = {"image_id": image_id, "label": facts["label"], "patient_id": facts["patient_id"]}
                measured = _measured(saliency, _places(dataset, row, mask, by_image.get(image_id)))
                records.append({**names, "method": method, "target": target, **measured})
    return pd.DataFrame(records, columns=list(COLUMNS)).astype(COLUMNS)


def lung_summary(table: pd.DataFrame, seed: int) -> list[dict[str, Any]]:
    """{method, label, images, empty, <place>: {share, area, enrichment}} of the table of `lung_evidence`.

    Means over images with bootstrap intervals over patients, {mean, low, high, n}; `empty` maps without positive
    saliency are counted and left out.
    """
    records = []
    for (method, label), rows in table.groupby(["method", "label"], sort=True):
        ordered = rows.sort_values("image_id")
        used = ordered[ordered["lungs_share"].notna()]
        record = {"method": str(method), "label": str(label), "images": len(rows), "empty": len(rows) - len(used)}
        record |= {
            place: {measure: _mean(used, f"{place}_{measure}", seed, f"{method} {label}") for measure in MEASURES}
            for place in PLACES
        }
        records.append(record)
    return records


def _mean(rows: pd.DataFrame, column: str, seed: int, purpose: str) -> dict[str, Any]:
    known = rows[rows[column].notna()]
    cluster = clusters(known["patient_id"], known["image_id"])
    return mean_estimate(
        known[column].to_numpy(dtype=np.float64), cluster, numpy_generator(seed, "lungs", purpose, column)
    )


def _places(dataset: DatasetVersion, row: int, lungs: _Mask, regions: pd.DataFrame | None) -> dict[str, _Mask]:
    """Masks (S, S) of `PLACES`, and of the content under ``content``."""
    size, place = dataset.meta.size, content_box(dataset.transform(row))
    content = box_mask([place], size)
    boxes = [] if regions is None else stored_boxes(dataset, row, regions).values()
    found = box_mask([box for box in (removal_box(each, place, 0) for each in boxes) if box is not None], size)
    outside = content & ~lungs
    return {"content": content, "lungs": content & lungs, "outside": outside, "unexplained": outside & ~found}


def _measured(saliency: NDArray[np.float32], places: dict[str, _Mask]) -> dict[str, float | None]:
    positive = np.maximum(saliency.astype(np.float64), 0)
    masses = {name: float((positive * _coverage(mask, positive.shape)).sum()) for name, mask in places.items()}
    found: dict[str, float | None] = {}
    for name in PLACES:
        area = float(places[name].sum() / places["content"].sum())
        share = masses[name] / masses["content"] if masses["content"] > 0 else None
        found |= {
            f"{name}_share": share,
            f"{name}_area": area,
            f"{name}_enrichment": share / area if share is not None and area > 0 else None,
        }
    return found


def _coverage(mask: _Mask, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Fraction of each pixel of an (h, w) grid, not finer than the store, that `mask` (S, S) covers."""
    shrunk = cv2.resize(mask.astype(np.float64), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, dtype=np.float64)
