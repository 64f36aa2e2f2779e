"""A table over all images of a dataset version, part by part, in several processes, resumable."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.artifacts import code_version, content_hash, read_parquet, write_parquet
from pipeline.dataset import DatasetVersion
from pipeline.progress import Progress, silent

PART = 32
"""Images a process looks at before it reports; also the unit of resuming."""


class Look(Protocol):
    """What is done with one image. Processes are handed it by name: it must be a function of a module."""

    def __call__(self, dataset: DatasetVersion, row: int) -> Sequence[dict[str, Any]]:
        """Records of the image of `row`, any number of them."""


def table_by_parts(
    dataset: DatasetVersion,
    out: Path,
    look: Look,
    columns: dict[str, str],
    *,
    stage: str,
    rows: NDArray[np.int64] | None = None,
    workers: int = 1,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Look at images of `dataset` and write the records, in the order of the images table, to `out`.

    Finished parts are kept in ``<out>.partial/`` and not done again after an interruption.

    Args:
        dataset: what is looked at, at the resolution of its pixel store.
        out: the table's path (Parquet).
        look: gives the records of one image.
        columns: of the table, with their pandas types.
        stage: how `progress` calls it.
        rows: which images, in table order; all when None.
        workers: processes.
        progress: told after every part.
    """
    chosen = np.arange(len(dataset)) if rows is None else rows
    # Parts of another request or of older code must not be continued.
    request = content_hash([dataset.meta.version, code_version("pipeline.flag"), chosen.tolist()])
    partial = out.with_name(out.name + ".partial") / request
    partial.mkdir(parents=True, exist_ok=True)
    starts = range(0, len(chosen), PART)
    jobs = [
        _Job(
            dataset.path, tuple(chosen[start : start + PART].tolist()), partial / f"{start:08d}.parquet", look, columns
        )
        for start in starts
    ]
    todo = [job for job in jobs if not job.target.exists()]
    done = len(jobs) - len(todo)
    progress(stage, min(done * PART, len(chosen)), len(chosen))
    for number, _ in enumerate(_run(todo, workers), start=done + 1):
        progress(stage, min(number * PART, len(chosen)), len(chosen))
    tables = [read_parquet(job.target) for job in jobs]
    table = pd.concat(tables, ignore_index=True).astype(columns) if tables else _table([], columns)
    write_parquet(out, table)
    shutil.rmtree(partial.parent)
    return table


def stored_picture(dataset: DatasetVersion, row: int) -> NDArray[np.uint8 | np.uint16]:
    """The stored pixels of one image without the letterbox padding, (H, W), from pixel (pad_y, pad_x) of the store."""
    place = dataset.transform(row)
    top, left = int(place.pad_y), int(place.pad_x)
    height, width = round(place.height * place.scale), round(place.width * place.scale)
    picture: NDArray[np.uint8 | np.uint16] = dataset.pixels([row])[0][top : top + height, left : left + width]
    return picture


@dataclass(frozen=True)
class _Job:
    folder: Path
    rows: tuple[int, ...]
    target: Path
    look: Look
    columns: dict[str, str]


def _run(jobs: list[_Job], workers: int) -> Iterator[None]:
    if workers == 1 or len(jobs) < 2:
        yield from map(_do, jobs)
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        yield from pool.map(_do, jobs)


@lru_cache(maxsize=1)
def _opened(folder: Path) -> DatasetVersion:
    """Opened once a process, not once a part: what a part costs must not grow with the table of the whole data set."""
    return DatasetVersion(folder)


def _do(job: _Job) -> None:
    dataset = _opened(job.folder)
    write_parquet(job.target, _table([each for row in job.rows for each in job.look(dataset, row)], job.columns))


def _table(records: list[dict[str, Any]], columns: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(records, columns=list(columns)).astype(columns)
