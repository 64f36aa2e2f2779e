"""How much of the saliency lies in a region, against how much of the image it covers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from pipeline.artifacts import read_parquet
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError, IntegrityError
from pipeline.types import Box, StoreTransform

COLUMNS: dict[str, str] = {
    "region_id": "string",
    "image_id": "string",
    "kind": "string",
    "method": "string",
    "target": "int64",
    "share": "Float64",
    "area_fraction": "Float64",
    "enrichment": "Float64",
}
"""Columns of the evidence table. `share` and `enrichment` are null where a map holds no positive saliency."""


def region_evidence(
    dataset: DatasetVersion, regions: pd.DataFrame, saliency_folder: Path, methods: Sequence[str]
) -> pd.DataFrame:
    """Saliency share and enrichment of every region on an explained image, one row per (region, method).

    share = saliency in the region / saliency in the content, both clamped at 0 from below, in [0, 1];
    area_fraction = area of the region / area of the content, in (0, 1]; enrichment = share / area_fraction, so a
    map that is constant over the content gives 1. Letterbox padding counts nowhere.

    Args:
        dataset: where the images are.
        regions: the regions table, boxes in original pixels.
        saliency_folder: holds ``<method>.zarr`` (N, h, w) and ``<method>.parquet``, row i describing map i.
        methods: explainers to read.

    Returns:
        Columns of `COLUMNS`. Maps without any positive saliency keep their rows, with null share and enrichment:
        ``evidence["share"].isna().sum()`` counts them.

    Raises:
        IntegrityError: maps and their table disagree.
        InputError: a region lies outside its image.
    """
    by_image = {str(image_id): part for image_id, part in regions.groupby("image_id", sort=True)}
    records = [
        record for method in methods for record in _method_evidence(dataset, by_image, saliency_folder, str(method))
    ]
    return pd.DataFrame(records, columns=list(COLUMNS)).astype(COLUMNS)


def coverage(box: Box, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Fraction of each pixel of an (h, w) grid that `box` (in pixels of that grid) covers, (h, w) in [0, 1]."""
    return np.asarray(_overlap(box.y0, box.y1, shape[0])[:, None] * _overlap(box.x0, box.x1, shape[1])[None, :])


def _overlap(low: float, high: float, count: int) -> NDArray[np.float64]:
    start = np.arange(count, dtype=np.float64)
    return np.asarray(np.clip(np.minimum(start + 1, high) - np.maximum(start, low), 0, 1))


def _method_evidence(
    dataset: DatasetVersion, by_image: dict[str, pd.DataFrame], folder: Path, method: str
) -> list[dict[str, object]]:
    records: list[dict[str, object]] = []
    for image_id, row, target, saliency in read_maps(folder, method):
        if image_id not in by_image:
            continue
        shares = _Shares(saliency, dataset.transform(row), dataset.meta.size)
        found = by_image[image_id]
        corners = found[["x0", "y0", "x1", "y1"]].to_numpy(dtype=float).tolist()
        for region_id, kind, box in zip(found["region_id"], found["kind"], corners, strict=True):
            names = {"region_id": region_id, "image_id": image_id, "kind": kind, "method": method, "target": target}
            records.append({**names, **shares.of(Box(*box), image_id)})
    return records


def read_maps(folder: Path, method: str) -> Iterator[tuple[str, int, int, NDArray[np.float32]]]:
    """(image_id, row, target, map (h, w)) of every map of `method`, one at a time.

    Raises:
        IntegrityError: maps and their table disagree.
    """
    table = read_parquet(folder / f"{method}.parquet")
    maps = zarr.open_array(folder / f"{method}.zarr", mode="r")
    if len(table) != maps.shape[0]:
        raise IntegrityError(
            f"{folder / method}: {len(table)} rows but {maps.shape[0]} maps. Explain the images again."
        )
    facts = zip(table["image_id"], table["row"], table["target"], strict=True)
    for number, (image_id, row, target) in enumerate(facts):
        yield str(image_id), int(row), int(target), np.asarray(maps[number])


class _Shares:
    """Shares of one map: its positive part and where the original lies in it."""

    def __init__(self, saliency: NDArray[np.float32], place: StoreTransform, size: int) -> None:
        self._positive = np.maximum(saliency.astype(np.float64), 0)
        self._place, self._size = place, size
        self._content = Box(0, 0, place.width, place.height)
        self._total = self._mass(self._content)

    def of(self, box: Box, image_id: str) -> dict[str, float | None]:
        """`share`, `area_fraction` and `enrichment` of a box in original pixels."""
        inside = box.clipped(self._place.width, self._place.height)
        if inside is None:
            raise InputError(
                f"A region {box.as_tuple()} lies outside its {self._place.width} x {self._place.height} image "
                f"{image_id}. Boxes are pixels of the original file; detect the regions again."
            )
        area = inside.area / self._content.area
        share = self._mass(inside) / self._total if self._total > 0 else None
        return {"share": share, "area_fraction": area, "enrichment": None if share is None else share / area}

    def _mass(self, box: Box) -> float:
        """Positive saliency under a box in original pixels; explainers see the whole square store, resized."""
        stored = self._place.to_store(box)
        height, width = self._positive.shape
        across, down = width / self._size, height / self._size
        scaled = Box(stored.x0 * across, stored.y0 * down, stored.x1 * across, stored.y1 * down)
        return float((self._positive * coverage(scaled, (height, width))).sum())
