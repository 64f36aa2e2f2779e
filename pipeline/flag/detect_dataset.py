"""Marks of all images of a dataset version, shard by shard, in several processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.artifacts import code_version, read_parquet, write_parquet
from pipeline.dataset import DatasetVersion
from pipeline.flag.detect import detect
from pipeline.progress import Progress, silent
from pipeline.types import Box, Region

REGION_COLUMNS: dict[str, str] = {
    "region_id": "string",
    "image_id": "string",
    "kind": "string",
    "text": "string",
    "x0": "float64",
    "y0": "float64",
    "x1": "float64",
    "y1": "float64",
    "detector": "string",
    "confidence": "float64",
}
"""Columns of regions.parquet. Boxes are pixels of the original file, x1 and y1 exclusive."""

_TASK = 32
"""Images a process looks at before it reports; also the unit of resuming."""


def detect_dataset(
    dataset: DatasetVersion, out: Path, *, workers: int = 1, progress: Progress = silent
) -> pd.DataFrame:
    """Find marks on every image of `dataset` and write them to `out` (regions.parquet).

    Finished parts are kept in ``<out>.partial/`` and not done again after an interruption.

    Args:
        dataset: what is searched, at the resolution of its pixel store.
        out: the table's path.
        workers: processes.
        progress: told after every part.

    Returns:
        The table, columns of `REGION_COLUMNS`, in the order of the images table; images without marks have no row.
    """
    # Parts of another data set or of older detectors must not be continued.
    partial = out.with_name(out.name + ".partial") / f"{dataset.meta.version}-{code_version('pipeline.flag')}"
    partial.mkdir(parents=True, exist_ok=True)
    parts = [range(start, min(start + _TASK, len(dataset))) for start in range(0, len(dataset), _TASK)]
    jobs = [(dataset.path, part, partial / f"{part.start:08d}.parquet") for part in parts]
    done = [job for job in jobs if job[2].exists()]
    progress("detect marks", len(done) * _TASK, len(dataset))
    for number, _ in enumerate(_run([job for job in jobs if job not in done], workers), start=len(done) + 1):
        progress("detect marks", min(number * _TASK, len(dataset)), len(dataset))
    tables = [read_parquet(path) for _, _, path in jobs]
    table = pd.concat(tables, ignore_index=True).astype(REGION_COLUMNS)
    write_parquet(out, table)
    shutil.rmtree(partial.parent)
    return table


Job = tuple[Path, range, Path]
"""Dataset version, rows, where the part goes."""


def _run(jobs: list[Job], workers: int) -> Iterator[None]:
    if workers == 1 or len(jobs) < 2:
        yield from map(_detect_part, jobs)
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        yield from pool.map(_detect_part, jobs)


def _detect_part(job: Job) -> None:
    folder, rows, target = job
    dataset = DatasetVersion(folder)
    records = [_record(region) for row in rows for region in _detect_row(dataset, row)]
    write_parquet(target, pd.DataFrame(records, columns=list(REGION_COLUMNS)).astype(REGION_COLUMNS))


def _detect_row(dataset: DatasetVersion, row: int) -> Iterator[Region]:
    """Marks of one image, in original pixels; the letterbox padding is never looked at."""
    place = dataset.transform(row)
    top, left = int(place.pad_y), int(place.pad_x)
    height, width = round(place.height * place.scale), round(place.width * place.scale)
    stored: NDArray[np.uint8 | np.uint16] = dataset.pixels([row])[0][top : top + height, left : left + width]
    for region in detect(stored, image_id=str(dataset.images["image_id"].iloc[row])):
        x0, y0, x1, y1 = region.box.as_tuple()
        moved = place.to_original(Box(x0 + left, y0 + top, x1 + left, y1 + top)).clipped(place.width, place.height)
        if moved is not None:
            yield Region(region.image_id, region.kind, moved, region.detector, region.confidence, region.text)


def _record(region: Region) -> dict[str, object]:
    corners = dict(zip(("x0", "y0", "x1", "y1"), region.box.as_tuple(), strict=True))
    return {
        "region_id": region.region_id,
        "image_id": region.image_id,
        "kind": region.kind,
        "text": region.text,
        **corners,
        "detector": region.detector,
        "confidence": region.confidence,
    }
