"""A dataset version on disk: an images table, a square pixel store and their lineage. Immutable once written.

    <version>/manifest.yaml    the manifest it was made from
              meta.json        classes, positive class, store size, name
              images.parquet   one row an image, see `IMAGE_COLUMNS`; row i is pixels[i]
              pixels.zarr      (N, S, S) uint8 or uint16, chunk one image, sharded by `SHARD`
              problems.parquet rows that could not be used: path, reason, detail
              lineage.json     what it was made from
              files.json       sizes and hashes of all these, see `pipeline.integrity`

Stored pixels are the letterboxed original (`StoreTransform`), bright = dense, full range of the data type.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from pipeline import elsewhere
from pipeline.artifacts import atomic_folder, read_json, read_parquet, write_json, write_parquet
from pipeline.errors import IntegrityError
from pipeline.integrity import check, present, seal
from pipeline.locks import locked
from pipeline.types import StoreTransform

if TYPE_CHECKING:
    from torch import Tensor  # loads slowly, and decoding does without

SHARD = 256
"""Images a shard: the unit of work, of resuming and of memory."""

IMAGE_COLUMNS: dict[str, str] = {
    "image_id": "string",
    "path": "string",
    "file_sha256": "string",
    "phash": "string",
    "dataset": "string",
    "source": "string",
    "label": "string",
    "label_raw": "string",
    "patient_id": "string",
    "study_id": "string",
    "split": "string",
    "view": "string",
    "view_source": "string",
    "sex": "string",
    "age": "Float64",
    "width": "Int64",
    "height": "Int64",
    "bits": "Int64",
    "photometric": "string",
    "file_format": "string",
    "modality": "string",
    "manufacturer": "string",
    "burned_in_annotation": "string",
    "licence": "string",
    "duplicate_group": "string",
    "scale": "Float64",
    "pad_x": "Float64",
    "pad_y": "Float64",
}
"""Columns of images.parquet and their pandas types. Unknown is null. `width`, `height`: original pixels;
`scale`, `pad_x`, `pad_y`: the `StoreTransform` (stored = original * scale + pad)."""


@dataclass(frozen=True)
class DatasetMeta:
    """What the images table alone does not say."""

    name: str
    version: str
    title: str
    classes: tuple[str, ...]
    positive: str
    """The class that precision and recall are about."""
    size: int
    """Side of the square pixel store, pixels."""
    dtype: str
    """Either uint8 or uint16."""


class DatasetVersion:
    """Read access to one dataset version. Holds no pixels beyond those asked for."""

    def __init__(self, path: Path) -> None:
        """Open the version at `path`.

        Raises:
            IntegrityError: a file is missing or damaged, or the table and the store disagree.
        """
        self.path = path
        check(path, "meta.json", "images.parquet")
        raw = read_json(path / "meta.json")
        self.meta = DatasetMeta(**{**raw, "classes": tuple(raw["classes"])})
        self.images = read_parquet(path / "images.parquet")
        try:
            self._pixels = zarr.open_array(path / "pixels.zarr", mode="r")
        except (OSError, ValueError, KeyError) as error:
            raise IntegrityError(f"{path / 'pixels.zarr'} cannot be opened ({error}).", path) from error
        if self._pixels.shape[0] != len(self.images):
            raise IntegrityError(f"{path}: {len(self.images)} rows but {self._pixels.shape[0]} stored images.", path)

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, *splits: str) -> NDArray[np.int64]:
        """Row numbers of the given splits, in table order."""
        return np.flatnonzero(self.images["split"].isin(splits).to_numpy(dtype=bool)).astype(np.int64)

    def labels(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Class indices (into `meta.classes`) of the given rows, int64 (n,)."""
        index = {name: number for number, name in enumerate(self.meta.classes)}
        return np.array([index[str(name)] for name in self.images["label"].iloc[list(rows)]], dtype=np.int64)

    def pixels(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[Any]:
        """Stored pixels of the given rows, (n, S, S) in the store's data type.

        Raises:
            IntegrityError: they are not what was stored; the shard's file is named.
        """
        return np.stack([self._stored(int(row)) for row in rows]) if len(rows) else self._empty()

    def _stored(self, row: int) -> NDArray[Any]:
        file = self.path / "pixels.zarr" / "c" / str(row // SHARD) / "0" / "0"
        if not file.exists():
            elsewhere.bring(file)
        try:
            return np.asarray(self._pixels[row])
        except (ValueError, RuntimeError) as error:  # of the checksum, or of the decompressor
            raise IntegrityError(f"{file} is damaged: image {row} cannot be read ({error}).", self.path) from error

    def tensor(self, rows: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """Images of the given rows, float32 (n, 1, S, S) in [0, 1]."""
        return to_unit(self.pixels(rows))

    def transform(self, row: int) -> StoreTransform:
        """How the image of `row` was placed in the store."""
        record = self.images.iloc[int(row)]
        return StoreTransform(
            float(record["scale"]),
            float(record["pad_x"]),
            float(record["pad_y"]),
            int(record["width"]),
            int(record["height"]),
        )

    def _empty(self) -> NDArray[Any]:
        return np.empty((0, self.meta.size, self.meta.size), dtype=self.meta.dtype)


@lru_cache(maxsize=1)
def open_version(path: Path) -> DatasetVersion:
    """`DatasetVersion(path)`, opened once a process: what a part costs must not grow with the images table."""
    return DatasetVersion(path)


def to_unit(pixels: NDArray[Any]) -> Tensor:
    """Stored pixels (n, S, S) uint8 or uint16 -> float32 (n, 1, S, S) in [0, 1]."""
    import torch

    top = np.float32(np.iinfo(pixels.dtype).max)
    return torch.from_numpy(pixels.astype(np.float32) / top).unsqueeze(1)


def from_unit(images: Tensor, dtype: str) -> NDArray[Any]:
    """Inverse of `to_unit`: exact for images that came from it, rounded and clamped otherwise."""
    top = np.iinfo(dtype).max
    return np.rint(images.squeeze(1).clamp(0, 1).numpy().astype(np.float64) * top).astype(dtype)


_IMAGES, _PIXELS = "images", "pixels.npy"


class DatasetWriter:
    """Collects shards of a new version inside a working folder; see `write_version`."""

    def __init__(self, folder: Path, size: int, dtype: str) -> None:
        self.folder = folder
        self.size = size
        self.dtype = dtype
        (folder / "shards").mkdir(exist_ok=True)

    def shard(self, number: int) -> Path:
        """The folder of shard `number`; it is there when the shard is whole."""
        return self.folder / "shards" / f"{number:06d}"

    def has_shard(self, number: int) -> bool:
        """Whether an earlier, interrupted attempt finished shard `number`."""
        return self.shard(number).exists()

    def write_shard(self, number: int, table: pd.DataFrame, pixels: NDArray[Any], **others: pd.DataFrame) -> None:
        """Store one shard: `table` rows (columns of `IMAGE_COLUMNS`), their pixels (n, S, S), and other tables by name.

        All appear at once. Where another process was faster, its shard stays.
        """
        if pixels.shape != (len(table), self.size, self.size) or pixels.dtype != np.dtype(self.dtype):
            raise ValueError(
                f"shard {number}: {len(table)} rows need pixels ({len(table)}, {self.size}, {self.size}) {self.dtype}, "
                f"found {pixels.shape} {pixels.dtype}"
            )
        target = self.shard(number)
        with locked(target, f"writes {target}"):
            if target.exists():
                return
            with atomic_folder(target) as folder:
                with (folder / _PIXELS).open("wb") as stream:
                    # Not np.save: what it raises on a full disk does not say that the disk is full.
                    np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(pixels))
                    stream.write(np.ascontiguousarray(pixels).data)
                for name, other in others.items():
                    write_parquet(folder / f"{name}.parquet", other)
                write_parquet(folder / f"{_IMAGES}.parquet", table.astype(IMAGE_COLUMNS)[list(IMAGE_COLUMNS)])

    def shard_table(self, number: int, name: str = "images") -> pd.DataFrame:
        """The table of a finished shard, or another one that was written with it."""
        return read_parquet(self.shard(number) / f"{name}.parquet")

    def stored_pixels(self, shards: int) -> Callable[[int], NDArray[Any]]:
        """A function that reads the pixels (S, S) of one row, counted over the first `shards` shards."""
        paths = [self.shard(number) / _PIXELS for number in range(shards)]
        starts = np.cumsum([0] + [len(np.load(path, mmap_mode="r")) for path in paths])

        def read(row: int) -> NDArray[Any]:
            part = int(np.searchsorted(starts, row, side="right")) - 1
            # Mapped for this row only: pages of a lasting map would count as memory and grow with the data set.
            return np.array(np.load(paths[part], mmap_mode="r")[row - starts[part]])

        return read

    def finish(self, meta: DatasetMeta, images: pd.DataFrame, shards: int) -> None:
        """Assemble the store from the shards and write table and meta.

        Args:
            meta: what the version is.
            images: final table, one row per stored image, in shard order; a column ``shard_row``
                (int, position over all shards' rows) may select and order rows, and is dropped.
            shards: how many shards there are.
        """
        order = images["shard_row"].to_numpy() if "shard_row" in images else np.arange(len(images))
        table = images.drop(columns=["shard_row"], errors="ignore").astype(IMAGE_COLUMNS)[list(IMAGE_COLUMNS)]
        self._assemble(order, shards)
        write_parquet(self.folder / "images.parquet", table.reset_index(drop=True))
        write_json(self.folder / "meta.json", asdict(meta))
        shutil.rmtree(self.folder / "shards")

    def _assemble(self, order: NDArray[np.int64], shards: int) -> None:
        read = self.stored_pixels(shards)
        shutil.rmtree(self.folder / "pixels.zarr", ignore_errors=True)
        store = create_pixels(self.folder / "pixels.zarr", len(order), self.size, self.dtype)
        for start in range(0, len(order), SHARD):
            block = order[start : start + SHARD]
            store[start : start + len(block)] = np.stack([read(int(row)) for row in block])


def create_pixels(path: Path, count: int, size: int, dtype: str) -> zarr.Array[Any]:
    """A new, empty pixel store (count, size, size), one chunk an image, `SHARD` images a shard file.

    Write whole shards at a time: a shard is one file and would otherwise be rewritten.
    """
    return zarr.create_array(
        store=path,
        shape=(count, size, size),
        dtype=dtype,
        chunks=(1, size, size),
        shards=(SHARD, size, size),
        # The checksum is of the compressed bytes, so that a damaged image is an error, not another image.
        compressors=[BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"), Crc32cCodec()],
    )


@contextmanager
def write_version(target: Path, size: int, dtype: str) -> Iterator[DatasetWriter]:
    """Make the version `target`; an interrupted attempt resumes at its first unfinished shard."""
    with atomic_folder(target, resume=True) as folder:
        yield DatasetWriter(folder, size, dtype)
        seal(folder)


Edit: TypeAlias = "Callable[[pd.DataFrame, Tensor], Tensor]"
"""Changes one shard: (rows of the images table, float32 (n, 1, S, S) in [0, 1]) -> images of the same shape."""


def derive_version(
    parent: DatasetVersion, target: Path, rows: NDArray[np.int64], edit: Edit, version: str, lineage: dict[str, Any]
) -> DatasetVersion:
    """Write a new version from `rows` of `parent` with every shard passed through `edit`; never touches `parent`.

    Args:
        parent: where images, table and splits come from.
        target: the new version's folder; returned as is when it exists already.
        rows: row numbers of `parent` to keep, in the new order.
        edit: see `Edit`; each image must be edited on its own, from its own identity.
        version: version name for the meta file.
        lineage: what to write into lineage.json besides the parent.
    """
    with locked(target, f"makes {target}"):
        if not present(target):
            _derive(parent, target, rows, edit, version, lineage)
    return DatasetVersion(target)


def _derive(
    parent: DatasetVersion, target: Path, rows: NDArray[np.int64], edit: Edit, version: str, lineage: dict[str, Any]
) -> None:
    with write_version(target, parent.meta.size, parent.meta.dtype) as writer:
        shards = 0
        for start in range(0, len(rows), SHARD):
            block = rows[start : start + SHARD]
            if not writer.has_shard(shards):
                table = parent.images.iloc[block].reset_index(drop=True)
                writer.write_shard(shards, table, from_unit(edit(table, parent.tensor(block)), parent.meta.dtype))
            shards += 1
        meta = DatasetMeta(**{**asdict(parent.meta), "version": version})
        writer.finish(meta, parent.images.iloc[rows].reset_index(drop=True), shards)
        for name in ("manifest.yaml", "problems.parquet"):
            if (parent.path / name).exists():
                shutil.copyfile(parent.path / name, writer.folder / name)
        write_json(writer.folder / "lineage.json", {"parent": parent.meta.version, **lineage})
