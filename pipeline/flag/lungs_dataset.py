"""Lung fields of the images of a dataset version, on disk.

<out>/masks.zarr      bool (n, s, s), mask i of row i of the table, in the square of the pixel store; s <= 256
      lungs.parquet   columns of `COLUMNS`
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch.nn.functional as functional
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from pipeline.artifacts import (
    atomic_folder,
    code_version,
    content_hash,
    read_json,
    read_parquet,
    write_json,
    write_parquet,
)
from pipeline.dataset import SHARD, DatasetVersion
from pipeline.flag.lungs import Segmenter, lung_masks
from pipeline.progress import Progress, silent

SIDE = 256
"""Masks are kept at this side, or at that of the pixel store where it is smaller, pixels."""
BATCH = 16

COLUMNS: dict[str, str] = {"image_id": "string", "row": "int64", "found": "bool", "share": "float64"}
"""`row`: of the images table; `found`: whether plausible lungs were found; `share`: of the original picture that they
cover, padding not counted, in [0, 1]. A mask that was not found is all false: unknown, not empty."""


def lungs_dataset(
    dataset: DatasetVersion,
    out: Path,
    rows: NDArray[np.int64],
    segmenter: Segmenter,
    *,
    identity: str = "shipped",
    progress: Progress = silent,
) -> pd.DataFrame:
    """Find the lungs on the images of `rows` and write them to the folder `out`; an interrupted attempt resumes.

    Args:
        dataset: where the images are.
        out: new folder; read as it is when it exists.
        rows: row numbers of the images table.
        segmenter: see `pipeline.flag.lungs.Segmenter`.
        identity: what `segmenter` is; the parts that another one left behind are not continued.
        progress: told about stage "find lungs".

    Returns:
        Columns of `COLUMNS` in the order of `rows`. ``(~table["found"]).sum()`` images had no plausible lungs.
    """
    if out.exists():
        return read_parquet(out / "lungs.parquet")
    side = min(SIDE, dataset.meta.size)
    parts = [rows[start : start + SHARD] for start in range(0, len(rows), SHARD)]
    with atomic_folder(out, resume=True) as folder:
        request = content_hash([dataset.meta.version, rows.tolist(), identity, code_version("pipeline.flag", "models")])
        store = _store(folder, request, len(rows), side)
        for number, part in enumerate(parts):
            table_path = folder / "parts" / f"{number:06d}.parquet"
            if not table_path.exists():
                masks = np.concatenate(list(_found(dataset, part, segmenter, side)))
                store[number * SHARD : number * SHARD + len(part)] = masks
                write_parquet(table_path, _table(dataset, part, masks))
            progress("find lungs", number * SHARD + len(part), len(rows))
        tables = [read_parquet(folder / "parts" / f"{number:06d}.parquet") for number in range(len(parts))]
        table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))
        write_parquet(folder / "lungs.parquet", table.astype(COLUMNS))
        shutil.rmtree(folder / "parts")
    return read_parquet(out / "lungs.parquet")


def read_lungs(folder: Path) -> tuple[pd.DataFrame, zarr.Array[Any]]:
    """Table and masks (n, s, s) that `lungs_dataset` wrote."""
    return read_parquet(folder / "lungs.parquet"), zarr.open_array(folder / "masks.zarr", mode="r")


def _store(folder: Path, request: str, count: int, side: int) -> zarr.Array[Any]:
    """The masks of an interrupted attempt at the same request, or new ones."""
    ledger = folder / "parts" / "request.json"
    if ledger.exists() and read_json(ledger) == request:
        return zarr.open_array(folder / "masks.zarr", mode="r+")
    shutil.rmtree(folder)
    store = zarr.create_array(
        store=folder / "masks.zarr",
        shape=(count, side, side),
        dtype="bool",
        chunks=(1, side, side),
        shards=(SHARD, side, side),
        compressors=BloscCodec(cname="zstd", clevel=3),
    )
    write_json(ledger, request)
    return store


def _found(
    dataset: DatasetVersion, rows: NDArray[np.int64], segmenter: Segmenter, side: int
) -> Iterator[NDArray[np.bool_]]:
    for start in range(0, len(rows), BATCH):
        images = dataset.tensor(rows[start : start + BATCH])
        small = functional.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)
        yield lung_masks(segmenter, small.clamp(0, 1))[:, 0].numpy()


def _table(dataset: DatasetVersion, rows: NDArray[np.int64], masks: NDArray[np.bool_]) -> pd.DataFrame:
    images = dataset.images.iloc[rows]
    scale, width, height = (images[name].to_numpy(dtype=float) for name in ("scale", "width", "height"))
    content = width * height * scale**2 / dataset.meta.size**2
    share = np.minimum(masks.mean(axis=(1, 2)) / content, 1.0)
    columns = {"image_id": images["image_id"].to_numpy(), "row": rows, "found": masks.any(axis=(1, 2)), "share": share}
    return pd.DataFrame(columns).astype(COLUMNS)
