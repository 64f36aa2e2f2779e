"""Lung fields of the images of a dataset version, on disk.

<out>/masks.zarr      bool (n, s, s), mask i of row i of the table, in the square of the pixel store; s <= 256
      lungs.parquet   columns of `COLUMNS`
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch.nn.functional as functional
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from pipeline.artifacts import atomic_folder, code_version, read_parquet, write_parquet
from pipeline.dataset import SHARD, DatasetVersion, open_version
from pipeline.flag.lungs import Segmenter, lung_masks
from pipeline.integrity import present, seal
from pipeline.locks import locked
from pipeline.progress import Progress, silent
from pipeline.spread import Spread, here, parts_of, spread_blocks

SIDE = 256
"""Masks are kept at this side, or at that of the pixel store where it is smaller, pixels."""
BATCH = 16
PART = 64
"""Images of a part; a divisor of `SHARD`."""

COLUMNS: dict[str, str] = {"image_id": "string", "row": "int64", "found": "bool", "share": "float64"}
"""`row`: of the images table; `found`: whether plausible lungs were found; `share`: of the original picture that they
cover, padding not counted, in [0, 1]. A mask that was not found is all false: unknown, not empty."""

_BITS = "bits"


def lungs_dataset(
    dataset: DatasetVersion,
    out: Path,
    rows: NDArray[np.int64],
    load: Callable[[], Segmenter],
    *,
    identity: str = "shipped",
    spread: Spread = here,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Find the lungs on the images of `rows` and write them to the folder `out`; an interrupted attempt resumes.

    Args:
        dataset: where the images are.
        out: new folder; read as it is when it exists.
        rows: row numbers of the images table.
        load: gives the segmenter, see `pipeline.flag.lungs.Segmenter`; called once a process. Other processes are
            handed it by name: there it must be a function of a module.
        identity: what the segmenter is; the parts that another one left behind are not continued.
        spread: who does the parts.
        progress: told about stage "find lungs".

    Returns:
        Columns of `COLUMNS` in the order of `rows`. ``(~table["found"]).sum()`` images had no plausible lungs.
    """
    if present(out):
        return read_parquet(out / "lungs.parquet")
    side = min(SIDE, dataset.meta.size)

    def part_of(block: NDArray[np.int64], target: Path) -> _Found:
        return _Found(dataset.path, tuple(block.tolist()), load, side, target)

    def told(done: int) -> None:
        progress("find lungs", done, len(rows))

    request = [dataset.meta.version, rows.tolist(), identity, code_version("pipeline.flag", "models")]
    with locked(out, f"finds lungs for {out.name}"), parts_of(out.with_name(f"{out.name}.parts"), request) as kept:
        if not out.exists():  # another process may have made it while this one waited
            parts = spread_blocks(rows, PART, part_of, kept, spread, told)
            with atomic_folder(out) as folder:
                _assemble(folder, [part.target for part in parts], len(rows), side)
                seal(folder)
    return read_parquet(out / "lungs.parquet")


def read_lungs(folder: Path) -> tuple[pd.DataFrame, zarr.Array[Any]]:
    """Table and masks (n, s, s) that `lungs_dataset` wrote."""
    return read_parquet(folder / "lungs.parquet"), zarr.open_array(folder / "masks.zarr", mode="r")


@dataclass(frozen=True)
class _Found:
    """Lungs of some images: the table's columns, and each mask as bits."""

    dataset: Path
    rows: tuple[int, ...]
    load: Callable[[], Segmenter]
    side: int
    target: Path
    network: ClassVar[bool] = True

    @property
    def needs(self) -> tuple[Path, ...]:
        return (self.dataset,)

    def do(self) -> None:
        dataset, rows = open_version(self.dataset), np.array(self.rows, dtype=np.int64)
        masks = np.concatenate(list(_found(dataset, rows, _loaded(self.load), self.side)))
        bits = [np.packbits(mask).tobytes() for mask in masks]
        write_parquet(self.target, _table(dataset, rows, masks).assign(**{_BITS: bits}))


@lru_cache(maxsize=1)
def _loaded(load: Callable[[], Segmenter]) -> Segmenter:
    return load()


def _assemble(folder: Path, parts: list[Path], count: int, side: int) -> None:
    store = zarr.create_array(
        store=folder / "masks.zarr",
        shape=(count, side, side),
        dtype="bool",
        chunks=(1, side, side),
        shards=(SHARD, side, side),
        compressors=BloscCodec(cname="zstd", clevel=3),
    )
    tables = [pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)]
    start = 0
    for shard in range(0, len(parts), SHARD // PART):  # whole shards at a time: a shard is one file
        found = pd.concat([read_parquet(part) for part in parts[shard : shard + SHARD // PART]], ignore_index=True)
        bits = np.frombuffer(b"".join(found.pop(_BITS)), dtype=np.uint8).reshape(len(found), -1)
        masks = np.unpackbits(bits, axis=1, count=side * side).astype(np.bool_)
        store[start : start + len(found)] = masks.reshape(-1, side, side)
        start += len(found)
        tables.append(found)
    write_parquet(folder / "lungs.parquet", pd.concat(tables, ignore_index=True).astype(COLUMNS))


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
