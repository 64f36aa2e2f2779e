"""Decoding surveyed files into shards of a new dataset version, `SHARD` files at a time."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.artifacts import read_parquet, write_parquet
from pipeline.dataset import IMAGE_COLUMNS, SHARD, DatasetWriter
from pipeline.ingest.decode import Refused, decode
from pipeline.ingest.readers import ReadLimits
from pipeline.ingest.workers import Mapper
from pipeline.progress import Progress

_FROM_HEADER = ("patient_id", "study_id", "view", "sex", "age")
"""Facts that a file may add where the manifest's tables do not know them."""


@dataclass(frozen=True)
class Reading:
    """How the files of one ingest are read.

    Attributes:
        salt: mixed into the hashes that stand for patient and study ids.
        namespaces: source -> namespace of the patient ids found in its files; the source itself where it has none.
    """

    data_root: Path
    limits: ReadLimits
    salt: str
    namespaces: Mapping[str, str]


def write_shards(
    writer: DatasetWriter, files: pd.DataFrame, reading: Reading, spread: Mapper, progress: Progress
) -> int:
    """Decode `files` (rows of the manifest with `file_sha256`); returns how many shards that makes.

    Shards that an interrupted attempt finished are kept. Memory holds the stored pixels of one shard.
    """
    _refused_folder(writer).mkdir(exist_ok=True)
    count = -(-len(files) // SHARD)
    for number in range(count):
        part = files.iloc[number * SHARD : (number + 1) * SHARD]
        if not writer.has_shard(number):
            _write_shard(writer, number, part, reading, spread)
        progress("read images", min((number + 1) * SHARD, len(files)), len(files))
    return count


def read_shards(writer: DatasetWriter, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The images tables of all shards under each other, and the files that were refused: path, reason, detail."""
    tables = [writer.shard_table(number) for number in range(count)]
    refused = [read_parquet(_refused_folder(writer) / f"{number:06d}.parquet") for number in range(count)]
    return pd.concat(tables, ignore_index=True), pd.concat(refused, ignore_index=True)


def drop_refused(writer: DatasetWriter) -> None:
    """Remove what `read_shards` read, once it stands in the problems table."""
    shutil.rmtree(_refused_folder(writer))


def _write_shard(writer: DatasetWriter, number: int, files: pd.DataFrame, reading: Reading, spread: Mapper) -> None:
    work = partial(decode, data_root=reading.data_root, limits=reading.limits, size=writer.size, salt=reading.salt)
    pixels = np.zeros((len(files), writer.size, writer.size), dtype=writer.dtype)
    images: list[dict[str, Any]] = []
    refused: list[dict[str, str]] = []
    for row, result in zip(_records(files), spread(work, files["path"], files["file_sha256"]), strict=True):
        if isinstance(result, Refused):
            refused.append({"path": row["path"], "reason": str(result.reason), "detail": result.detail})
        else:
            pixels[len(images)] = _in_dtype(result.stored, pixels.dtype)
            images.append(_image_row(row, result.facts, reading.namespaces.get(row["source"], row["source"])))
    problems = pd.DataFrame(refused, columns=["path", "reason", "detail"], dtype="string")
    write_parquet(_refused_folder(writer) / f"{number:06d}.parquet", problems)
    writer.write_shard(number, pd.DataFrame(images, columns=list(IMAGE_COLUMNS)), pixels[: len(images)])


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, values, strict=True)) for values in table.itertuples(index=False)]


def _in_dtype(stored: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """uint8 pixels of a uint16 store keep black and white: 255 becomes 65535."""
    return stored if stored.dtype == dtype else stored.astype(dtype) * dtype.type(257)


def _image_row(row: dict[str, Any], facts: dict[str, Any], namespace: str) -> dict[str, Any]:
    """A row of the images table: what the manifest knows, completed by what the file says of itself."""
    if facts["patient_id"] is not None:
        facts = {**facts, "patient_id": f"{namespace}:{facts['patient_id']}"}
    completed = {key: facts[key] if pd.isna(row[key]) else row[key] for key in _FROM_HEADER}
    view_source = "dicom" if pd.isna(row["view"]) and facts["view"] else row["view_source"]
    return {**facts, **row, **completed, "view_source": view_source}


def _refused_folder(writer: DatasetWriter) -> Path:
    return writer.folder / "refused"
