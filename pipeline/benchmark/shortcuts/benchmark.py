"""Plant shortcuts, train, audit, cleanse, retrain; and the same without a shortcut. Resumable, in several processes.

    <out>/run.json           what was asked, and the sha256 of each artifact
          trials.parquet     one row a trial, see `trial`
          table.md           rates with intervals, and every wrong verdict with its reason
          base/ sheets/ references/ trials/    see `study`

Finished sheets, references and trials are kept and not made again. Equal requests give equal verdicts, whatever the
number of processes; the columns `seconds_*` are times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import torch

from pipeline.artifacts import RunFolder, code_version, read_json, write_parquet, write_text
from pipeline.benchmark.shortcuts.base import phantom_base, take_base
from pipeline.benchmark.shortcuts.grid import Subset, grid
from pipeline.benchmark.shortcuts.plant import make_sheet
from pipeline.benchmark.shortcuts.study import Study, audit_settings
from pipeline.benchmark.shortcuts.table import render_table
from pipeline.benchmark.shortcuts.trial import run_trial, train_reference
from pipeline.dataset import DatasetVersion
from pipeline.progress import Progress, silent

PHANTOMS: dict[Subset, tuple[int, int]] = {"full": (680, 256), "ci": (120, 160)}
"""Number and side, pixels, of the generated images where no data set is given."""
CODE = (
    *("pipeline.train", "pipeline.explain", "pipeline.flag", "pipeline.cleanse"),
    *("pipeline.benchmark.planting", "pipeline.benchmark.shortcuts", "pipeline.config", "models"),
)


@dataclass(frozen=True)
class ShortcutRequest:
    """What is asked of the benchmark.

    Attributes:
        dataset: folder of a data set version; None: generated images.
        classes: two of its classes, the positive one last; its own two when empty.
        sources: which of its sources; all when empty.
        images: at most so many of its images.
        subset: full, or a few trials that say within a minute whether everything works.
        seed: 0 is what is reported; others are for development.
    """

    dataset: Path | None = None
    classes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    images: int = 400
    subset: Subset = "full"
    seed: int = 0


def benchmark_shortcuts(
    request: ShortcutRequest, out: Path, *, workers: int = 1, progress: Progress = silent
) -> pd.DataFrame:
    """Run every trial of `grid` and score it; see the module for the files.

    Args:
        request: what is asked.
        out: result folder; the same request goes on where it stopped.
        workers: processes, one trial each.
        progress: told after every sheet, reference and trial.

    Returns:
        trials.parquet.

    Raises:
        InputError: the data set lacks a class or a source.
        IntegrityError: `out` belongs to another request, or to another version of the code.
        StorageError: `out` cannot be written.
    """
    config = audit_settings(request.subset, request.seed)
    dataset = DatasetVersion(request.dataset) if request.dataset else None
    run = RunFolder(out, _identity(request, dataset, config.model_dump(mode="json")))
    study = Study(out, request.seed, config)
    if dataset:
        take_base(dataset, request.classes, request.sources, request.images, request.seed, study.base_folder)
    else:
        phantom_base(*PHANTOMS[request.subset], request.seed, study.base_folder)
    trials = grid(request.seed, request.subset)
    jobs = _Jobs(study, workers, progress)
    jobs.run("plant marks", make_sheet, list(dict.fromkeys([None, *(trial.mark for trial in trials)])))
    jobs.run("train references", train_reference, sorted({trial.replicate for trial in trials}))
    # Planted and control trials mixed, so that an unfinished benchmark already says something about both.
    jobs.run("run trials", run_trial, sorted(trials, key=lambda trial: (trial.replicate, trial.id)))
    table = pd.DataFrame([read_json(study.record(trial)) for trial in trials]).convert_dtypes()
    write_parquet(out / "trials.parquet", table)
    write_text(out / "table.md", render_table(table))
    for name in ("trials.parquet", "table.md"):
        run.record(name)
    return table


def _identity(request: ShortcutRequest, dataset: DatasetVersion | None, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "dataset": [dataset.meta.name, dataset.meta.version] if dataset else "phantoms",
        "classes": list(request.classes),
        "sources": list(request.sources),
        "images": request.images,
        "subset": request.subset,
        "seed": request.seed,
        "config": config,
        "code": code_version(*CODE),
    }


@dataclass(frozen=True)
class _Jobs:
    """Work that is spread over processes; each piece writes its result and skips what is there."""

    study: Study
    workers: int
    progress: Progress

    def run(self, stage: str, work: Callable[[Study, Any], None], pieces: Sequence[Any]) -> None:
        """Call `work` on every piece."""
        for done, _ in enumerate(self._finished(work, pieces), start=1):
            self.progress(stage, done, len(pieces))

    def _finished(self, work: Callable[[Study, Any], None], pieces: Sequence[Any]) -> Iterator[None]:
        if self.workers == 1:
            for piece in pieces:
                work(self.study, piece)
                yield
            return
        context = get_context("spawn")
        with ProcessPoolExecutor(self.workers, context, initializer=_one_core) as pool:
            futures = [pool.submit(work, self.study, piece) for piece in pieces]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _one_core() -> None:
    """Each process is one core's worth: threads would only fight over the same cores."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
