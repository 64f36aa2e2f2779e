"""Decoding surveyed files into shards of a new dataset version, `FILES` at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.dataset import IMAGE_COLUMNS, DatasetWriter
from pipeline.ingest.decode import Decoded, Refused
from pipeline.ingest.previous import HEADER, headers_table, opened
from pipeline.ingest.readers import ReadLimits
from pipeline.ingest.sacrifice import Marks
from pipeline.progress import Progress
from pipeline.spread import Spread, undone

FILES = 64
"""Files decoded together: the unit of work, of resuming and of memory."""


@dataclass(frozen=True)
class Reading:
    """How the files of one ingest are read.

    Attributes:
        salt: mixed into the hashes that stand for patient and study ids.
        namespaces: source -> namespace of the patient ids found in its files; the source itself where it has none.
        previous: folder of a version that was read in the same way (`reads_alike`): its files are not decoded again.
    """

    data_root: Path
    limits: ReadLimits
    salt: str
    namespaces: Mapping[str, str]
    previous: Path | None = None


def write_shards(
    writer: DatasetWriter, files: pd.DataFrame, reading: Reading, spread: Spread, progress: Progress
) -> int:
    """Decode `files` (rows of the manifest with `file_sha256`); returns how many shards that makes.

    Shards that an interrupted attempt finished are kept. Memory holds the stored pixels of one shard a process.
    """
    marks = _marks(writer.folder)
    shards = [
        _Shard(writer.folder, writer.size, writer.dtype, number, files.iloc[start : start + FILES], reading)
        for number, start in enumerate(range(0, len(files), FILES))
    ]
    done = len(shards) - len(undone(shards))
    for number, _ in enumerate(marks.surviving(spread, shards), start=done + 1):
        progress("read images", min(number * FILES, len(files)), len(files))
    progress("read images", len(files), len(files))
    shutil.rmtree(marks.folder, ignore_errors=True)
    return len(shards)


def read_shards(writer: DatasetWriter, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The images tables of all shards under each other, and the files that were refused: path, reason, detail."""
    tables = [writer.shard_table(number) for number in range(count)]
    refused = [writer.shard_table(number, "refused") for number in range(count)]
    return pd.concat(tables, ignore_index=True), pd.concat(refused, ignore_index=True)


def read_headers(writer: DatasetWriter, count: int) -> pd.DataFrame:
    """What the files of all shards say of themselves, see `headers_table`."""
    return pd.concat([writer.shard_table(number, "headers") for number in range(count)], ignore_index=True)


@dataclass(frozen=True)
class _Shard:
    """Some files decoded: images with their pixels, refused files, headers."""

    folder: Path
    size: int
    dtype: str
    number: int
    files: pd.DataFrame
    reading: Reading
    network: ClassVar[bool] = False
    may_die: ClassVar[bool] = True

    @property
    def needs(self) -> tuple[Path, ...]:
        previous = (self.reading.previous,) if self.reading.previous else ()
        return (*(self.reading.data_root / str(path) for path in self.files["path"]), *previous)

    @property
    def target(self) -> Path:
        return DatasetWriter(self.folder, self.size, self.dtype).shard(self.number)

    def do(self) -> None:
        pixels = np.zeros((len(self.files), self.size, self.size), dtype=self.dtype)
        images: list[dict[str, Any]] = []
        refused: list[dict[str, str]] = []
        headers: list[dict[str, Any]] = []
        for row, result in zip(_records(self.files), self._decoded(), strict=True):
            if isinstance(result, Refused):
                refused.append({"path": row["path"], "reason": str(result.reason), "detail": result.detail})
            else:
                pixels[len(images)] = _in_dtype(result.stored, pixels.dtype)
                namespace = self.reading.namespaces.get(row["source"], row["source"])
                images.append(_image_row(row, result.facts, namespace))
                headers.append({name: result.facts[name] for name in ("file_sha256", *HEADER)})
        DatasetWriter(self.folder, self.size, self.dtype).write_shard(
            self.number,
            pd.DataFrame(images, columns=list(IMAGE_COLUMNS)),
            pixels[: len(images)],
            refused=pd.DataFrame(refused, columns=["path", "reason", "detail"], dtype="string"),
            headers=headers_table(headers),
        )

    def _decoded(self) -> Iterator[Decoded | Refused]:
        """One result a file, in order; those of known files are taken over from the previous version."""
        how, known = self.reading, opened(self.reading.previous) if self.reading.previous else None
        marks = _marks(self.folder)
        for path, name in zip(self.files["path"], self.files["file_sha256"], strict=True):
            if known is not None and name in known:
                yield known.decoded(name)
            else:
                yield marks.decoded(
                    path, name, data_root=how.data_root, limits=how.limits, size=self.size, salt=how.salt
                )


def _marks(folder: Path) -> Marks:
    return Marks(folder / "reading")


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, values, strict=True)) for values in table.itertuples(index=False)]


def _in_dtype(stored: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """uint8 pixels of a uint16 store keep black and white: 255 becomes 65535."""
    return stored if stored.dtype == dtype else stored.astype(dtype) * dtype.type(257)


def _image_row(row: dict[str, Any], facts: dict[str, Any], namespace: str) -> dict[str, Any]:
    """A row of the images table: what the manifest knows, completed by what the file says of itself."""
    if facts["patient_id"] is not None:
        facts = {**facts, "patient_id": f"{namespace}:{facts['patient_id']}"}
    completed = {key: facts[key] if pd.isna(row[key]) else row[key] for key in HEADER}
    view_source = "dicom" if pd.isna(row["view"]) and facts["view"] else row["view_source"]
    return {**facts, **row, **completed, "view_source": view_source}
