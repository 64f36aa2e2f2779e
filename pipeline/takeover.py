"""Artifacts about single images, put together of what an earlier run found and what is found now.

Such an artifact is a table with a column `image_id`, or a folder of tables, each beside an array (Zarr) whose item i
belongs to row i of the table. Whoever calls makes sure that both halves were made in the same way.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from pipeline.artifacts import atomic_folder, read_parquet, write_parquet
from pipeline.dataset import SHARD, DatasetVersion
from pipeline.storage import storage_errors


def take_over(
    dataset: DatasetVersion,
    rows: NDArray[np.int64],
    earlier: Path,
    found: Path,
    out: Path,
    arrays: Mapping[str, str] | None = None,
) -> None:
    """Write the artifact `out` about `rows`, in their order; an existing one is replaced.

    Args:
        dataset: that the rows are of.
        rows: row numbers, ascending.
        earlier: the artifact of an earlier run, perhaps of another version of the data set.
        found: the artifact about images that `earlier` does not know; wins where both do. Missing: nothing was found.
        out: where the artifact goes.
        arrays: of a folder, its tables and the arrays beside them; None for a table alone.
    """
    if arrays is None:
        write_parquet(out, _merged(dataset, rows, earlier, found)[0])
        return
    if out.exists():
        shutil.rmtree(out)
    with atomic_folder(out) as folder:
        for table, array in arrays.items():
            merged, origin = _merged(dataset, rows, earlier / table, found / table)
            with storage_errors(folder):
                _copy(merged, origin, (earlier / array, found / array), folder / array)
            write_parquet(folder / table, merged)


def _merged(
    dataset: DatasetVersion, rows: NDArray[np.int64], earlier: Path, found: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table, and of each of its rows where it comes from: columns half (0 earlier, 1 found) and place."""
    old = read_parquet(earlier)
    new = read_parquet(found) if found.exists() else old.iloc[:0]
    row_of = pd.Series(rows, index=dataset.images["image_id"].iloc[rows].astype(str))
    halves = [old[~old["image_id"].isin(new["image_id"])], new]
    table = pd.concat([half.assign(_half=number, _place=half.index) for number, half in enumerate(halves)])
    table["_row"] = table["image_id"].astype(str).map(row_of)
    table = table.dropna(subset="_row").sort_values(["_row", "_half", "_place"], ignore_index=True)
    facts = dataset.images.iloc[table["_row"].astype(int)].reset_index(drop=True)
    for name in ("split", "label"):
        if name in old.columns:  # what the manifest says now
            table[name] = facts[name]
    if "row" in old.columns:
        table["row"] = table["_row"].astype("int64")
    origin = table[["_half", "_place"]].rename(columns={"_half": "half", "_place": "place"})
    return table[old.columns].astype(old.dtypes), origin


def _copy(merged: pd.DataFrame, origin: pd.DataFrame, halves: tuple[Path, Path], out: Path) -> None:
    """The array of `merged`, of the same kind as that of the earlier half; a shard's worth in memory."""
    opened: list[zarr.Array[Any]] = [zarr.open_array(half, mode="r") for half in halves if half.exists()]
    like = opened[0]
    store = zarr.create_array(
        store=out,
        shape=(len(merged), *like.shape[1:]),
        dtype=like.dtype,
        chunks=like.chunks,
        shards=like.shards,
        compressors=like.compressors,
    )
    for start in range(0, len(merged), SHARD):
        block = origin.iloc[start : start + SHARD]
        items = [np.asarray(opened[half][place]) for half, place in zip(block["half"], block["place"], strict=True)]
        store[start : start + len(block)] = np.stack(items)
