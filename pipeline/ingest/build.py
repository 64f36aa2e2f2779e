"""From the rows of a manifest to an immutable dataset version.

Every file is hashed first, which gives the version its name; then decoded, shard by shard; then copies are dealt with
and splits drawn. A killed ingest resumes at its first unfinished shard and ends with the same bytes.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.artifacts import code_version, content_hash, read_json, write_json, write_parquet, write_text
from pipeline.config import IngestConfig
from pipeline.dataset import DatasetMeta, DatasetVersion, DatasetWriter, write_version
from pipeline.errors import EmptyResultError, InputError, IntegrityError
from pipeline.ingest.decode import Surveyed, survey, to_8_bits, unletterbox
from pipeline.ingest.duplicates import duplicate_groups
from pipeline.ingest.manifest_schema import Manifest
from pipeline.ingest.previous import HEADERS_FILE, reads_alike
from pipeline.ingest.quality import summarise
from pipeline.ingest.readers import ReadLimits
from pipeline.ingest.recall import GONE_FILE, Picture, drop_learnt, gone, recalled
from pipeline.ingest.repeats import drop_repeats
from pipeline.ingest.shards import Reading, read_headers, read_shards, write_shards
from pipeline.ingest.sources import SourceRows
from pipeline.ingest.splits import draw_splits
from pipeline.integrity import present
from pipeline.locks import locked
from pipeline.progress import Progress, silent
from pipeline.spread import Spread, here
from pipeline.types import StoreTransform


def ingest(
    manifest: Manifest,
    rows: SourceRows,
    data_root: Path,
    datasets_root: Path,
    config: IngestConfig,
    seed: int,
    *,
    previous: DatasetVersion | None = None,
    spread: Spread = here,
    progress: Progress = silent,
) -> DatasetVersion:
    """Read the images that `rows` lists into the version ``<datasets_root>/<name>/<version>``.

    The version is a hash of manifest, rows, files, settings, seed and code: the same request finds the same folder
    and does no more than hash the files. The result does not depend on `spread`, who decodes.

    With `previous`, the data set goes on from that version: its files are not decoded again, its patients keep their
    splits (`pipeline.ingest.recall`), and it is part of the hash. Where nothing changed since, it is the result.

    Raises:
        EmptyResultError: no image can be used.
        InputError: a class is missing or too small, or a patient is pinned to several splits.
        StorageError: the disk is full, read-only or not ours to write.
    """
    limits = ReadLimits.of(config)
    surveyed = _survey(rows.rows["path"], data_root, limits, progress)
    files, unusable = _usable(rows.rows, surveyed)
    request = _request(manifest, rows, surveyed, config, seed)
    if previous is not None:
        if _asked_for(previous) == request:
            return previous
        request["previous"] = previous.meta.version
    target = datasets_root / manifest.name / content_hash(request)
    with locked(target, f"reads the images of {manifest.name}"):
        if present(target):
            return DatasetVersion(target)
        problems = pd.concat([rows.problems, unusable], ignore_index=True)
        _require_some(files, problems)
        dtype = _dtype(surveyed)
        alike = previous is not None and reads_alike(previous, manifest.name, config, dtype)
        known = previous.path if previous is not None and alike else None
        reading = Reading(data_root, limits, manifest.name, manifest.patient_namespaces, known)
        with write_version(target, config.store_size, dtype) as writer:
            shards = write_shards(writer, files, reading, spread, progress)
            images, problems = _select(writer, shards, problems, manifest, config, seed, previous)
            _check_sum(len(rows.rows) + len(rows.problems), images, problems)
            _write_facts(writer, manifest, request, images, problems)
            write_parquet(writer.folder / HEADERS_FILE, read_headers(writer, shards))
            write_parquet(writer.folder / GONE_FILE, gone(images, previous))
            writer.finish(_meta(manifest, writer, target.name), images, shards)
        return DatasetVersion(target)


def _survey(paths: pd.Series, data_root: Path, limits: ReadLimits, progress: Progress) -> list[Surveyed]:
    """Hash all files, in this process: it waits for the disk, and a repeated request should not start others."""
    surveyed: list[Surveyed] = []
    for path in paths:
        surveyed.append(survey(path, data_root=data_root, limits=limits))
        progress("hash files", len(surveyed), len(paths))
    return surveyed


def _usable(rows: pd.DataFrame, surveyed: list[Surveyed]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows whose file can be read, with its hash; and the others as problems."""
    usable = np.array([found.reason is None for found in surveyed], dtype=bool)
    files = rows.assign(file_sha256=pd.array([found.file_sha256 for found in surveyed], dtype="string"))
    refused = [
        {"path": path, "reason": str(found.reason), "detail": found.detail}
        for path, found in zip(rows["path"], surveyed, strict=True)
        if found.reason is not None
    ]
    return files[usable], pd.DataFrame(refused, columns=["path", "reason", "detail"], dtype="string")


def _dtype(surveyed: list[Surveyed]) -> str:
    """uint16 as soon as one image has more than 8 bits: a store has one type and loses nothing."""
    return "uint16" if any(found.bits is not None and found.bits > 8 for found in surveyed) else "uint8"


def _request(
    manifest: Manifest, rows: SourceRows, surveyed: list[Surveyed], config: IngestConfig, seed: int
) -> dict[str, Any]:
    return {
        "manifest_sha256": manifest.sha256,
        "rows_sha256": content_hash([_cells(rows.rows), _cells(rows.problems)], 64),
        "files_sha256": content_hash([[found.file_sha256, found.reason] for found in surveyed], 64),
        "config": config.model_dump(),
        "seed": seed,
        "code_version": code_version("pipeline.ingest"),
    }


def _asked_for(version: DatasetVersion) -> dict[str, Any]:
    """The request that a version was made for, whatever it went on from."""
    lineage = read_json(version.path / "lineage.json")
    return {key: value for key, value in lineage.items() if key not in ("previous", "counts")}


def _cells(table: pd.DataFrame) -> list[list[Any]]:
    return [list(table.columns), *table.astype(object).where(table.notna(), None).to_numpy().tolist()]


def _select(
    writer: DatasetWriter,
    shards: int,
    problems: pd.DataFrame,
    manifest: Manifest,
    config: IngestConfig,
    seed: int,
    previous: DatasetVersion | None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The images to keep, with groups and splits, and everything else as problems sorted by path."""
    decoded, refused = read_shards(writer, shards)
    _require_some(decoded, pd.concat([problems, refused]))
    decoded["shard_row"] = np.arange(len(decoded))
    picture = _pictures(writer, shards, decoded)
    hashes = np.array([int(text, 16) for text in decoded["phash"]], dtype=np.uint64)
    decoded["duplicate_group"] = duplicate_groups(decoded["image_id"].tolist(), hashes, picture, config.phash_distance)
    earlier = recalled(decoded, previous, picture, config.phash_distance)
    images, learnt = drop_learnt(decoded.assign(earlier=earlier))
    images, repeats = drop_repeats(images)
    problems = pd.concat([problems, refused, learnt, repeats], ignore_index=True)
    try:
        images = images.assign(split=draw_splits(images, manifest.classes, config, seed)).drop(
            columns=["unit", "earlier"]
        )
    except InputError as error:
        raise type(error)(f"{error} {_left_out(problems)}") from error
    return images, problems.sort_values(["path", "reason", "detail"], kind="stable", ignore_index=True)


def _pictures(writer: DatasetWriter, shards: int, decoded: pd.DataFrame) -> Picture:
    """Grey pixels (height, width) of decoded image i, as they are stored."""
    placed = decoded[["scale", "pad_x", "pad_y", "width", "height"]].to_numpy(dtype=np.float64)
    pixels = writer.stored_pixels(shards)

    def picture(row: int) -> NDArray[Any]:
        scale, pad_x, pad_y, width, height = placed[row]
        return to_8_bits(unletterbox(pixels(row), StoreTransform(scale, pad_x, pad_y, int(width), int(height))))

    return picture


def _require_some(usable: pd.DataFrame, problems: pd.DataFrame) -> None:
    if len(usable) == 0:
        raise EmptyResultError(f"No image can be used. {_left_out(problems)}")


def _left_out(problems: pd.DataFrame) -> str:
    """What was left out and why, in a sentence with one example a reason."""
    if len(problems) == 0:
        return "No row was left out."
    counts = Counter(problems["reason"])
    first = problems.drop_duplicates("reason")
    examples = dict(zip(first["reason"], first["path"] + ": " + first["detail"], strict=True))
    listed = "; ".join(f"{count} {reason} (such as {examples[reason]})" for reason, count in counts.most_common())
    return f"{len(problems)} rows were left out: {listed}."


def _check_sum(rows_in: int, images: pd.DataFrame, problems: pd.DataFrame) -> None:
    if len(images) + len(problems) != rows_in:
        raise IntegrityError(
            f"{rows_in} rows came in, but {len(images)} images and {len(problems)} problems went out. "
            "This is a fault of cxr-audit; please report it."
        )


def _write_facts(
    writer: DatasetWriter, manifest: Manifest, request: dict[str, Any], images: pd.DataFrame, problems: pd.DataFrame
) -> None:
    counts = {"rows_in": len(images) + len(problems), "kept": len(images), "problems": len(problems)}
    write_parquet(writer.folder / "problems.parquet", problems)
    write_json(writer.folder / "quality.json", summarise(images, problems))
    write_json(writer.folder / "lineage.json", {**request, "counts": counts})
    write_text(writer.folder / "manifest.yaml", manifest.raw_text)


def _meta(manifest: Manifest, writer: DatasetWriter, version: str) -> DatasetMeta:
    return DatasetMeta(
        name=manifest.name,
        version=version,
        title=manifest.title,
        classes=manifest.classes,
        positive=manifest.positive,
        size=writer.size,
        dtype=writer.dtype,
    )
