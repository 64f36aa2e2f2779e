"""Repeat the claims of Agarwal and Nguyen (ACCV 2020) about generative removal, on x-rays with a known shortcut.

    <out>/run.json         what was asked, and the sha256 of each artifact
          maps.parquet     one row a map: its numbers and cost, see `trial.run_image`
          images.parquet   one row an image and method, see `images.image_table`
          summary.parquet  one row a pair of methods and measure, see `summary.summarise`
          table.md         the same to read
          maps.png         maps of all methods side by side
          queries.png      perturbed images that each method showed the classifier
          base/ marked/ classifier/ judge/ units/   see `study`; a unit is what is known of one image

What is finished is kept and not made again. Equal requests give equal numbers, but for the seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch

from pipeline.artifacts import RunFolder, atomic_file, code_version, write_parquet, write_text
from pipeline.benchmark.pictures import MapExample, maps_picture
from pipeline.benchmark.removal.images import image_table
from pipeline.benchmark.removal.plausibility import Judge, Pictures, real_pictures
from pipeline.benchmark.removal.request import PAIRS, RemovalRequest
from pipeline.benchmark.removal.sheet import queries_picture
from pipeline.benchmark.removal.study import Sample, Study
from pipeline.benchmark.removal.summary import summarise
from pipeline.benchmark.removal.table import render_table
from pipeline.benchmark.removal.trial import Unit, run_image
from pipeline.dataset import DatasetVersion
from pipeline.fills import fill_version
from pipeline.progress import Progress, silent

EXAMPLES = 4
"""Images in the pictures."""
CODE = ("pipeline.train", "pipeline.explain", "pipeline.benchmark.planting", "pipeline.benchmark.removal", "models")


def benchmark_removal(
    request: RemovalRequest, out: Path, *, workers: int = 1, device: str = "cpu", progress: Progress = silent
) -> pd.DataFrame:
    """Plant, train, explain by every method under every setting, and compare; see the module for the files.

    Args:
        request: what is asked.
        out: result folder; one that an interrupted run of the same request left is continued.
        workers: processes, one image each.
        device: where networks are trained and run.
        progress: told after every image.

    Returns:
        summary.parquet.

    Raises:
        InputError: the data set lacks a class or a source, there is no such fill, or a setting is too small.
        EmptyResultError: the classifier does not read the mark.
        IntegrityError: `out` belongs to another request, or to another version of the code.
        StorageError: `out` cannot be written.
    """
    request.settings()
    run = RunFolder(out, _identity(request))
    study = Study(out, request, device)
    study.make(progress)
    sample = study.sample()
    units = [Unit.read(folder) for folder in _explained(study, sample, workers, progress)]
    judge = Judge(*study.judge())
    images = image_table(units, judge, _others(study, sample))
    maps = pd.concat([unit.rows for unit in units], ignore_index=True)
    summary = summarise(images, seed=request.seed)
    tables = {"maps.parquet": maps, "images.parquet": images, "summary.parquet": summary}
    for name, table in tables.items():
        write_parquet(out / name, table)
    write_text(out / "table.md", render_table(summary, maps, _facts(study, sample)))
    pictures = {"maps.png": maps_picture(_examples(units, sample)), "queries.png": queries_picture(units[:EXAMPLES])}
    for name, picture in pictures.items():
        with atomic_file(out / name) as temporary:
            temporary.write_bytes(picture)
    for name in (*tables, "table.md", *pictures):
        run.record(name)
    return summary


def _identity(request: RemovalRequest) -> dict[str, Any]:
    dataset = DatasetVersion(request.dataset) if request.dataset else None
    named = [dataset.meta.name, dataset.meta.version] if dataset else "phantoms"
    weights = fill_version(request.fill)
    return {**asdict(request), "dataset": named, "fill_version": weights, "code": code_version(*CODE)}


def _explained(study: Study, sample: Sample, workers: int, progress: Progress) -> Iterator[Path]:
    """The folder of each image, in order."""
    work, numbers = partial(run_image, study, sample), range(len(sample.rows))
    if workers == 1:
        for done, number in enumerate(numbers, start=1):
            yield work(number)
            progress("explain", done, len(numbers))
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_one_core) as pool:
        for done, folder in enumerate(pool.map(work, numbers), start=1):
            yield folder
            progress("explain", done, len(numbers))


def _one_core() -> None:
    """Each process is one core's worth: threads would only fight over the same cores."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _others(study: Study, sample: Sample) -> Pictures:
    """Marked test and validation images of patients of whom nothing is explained."""
    marked = study.marked
    _, spec = study.judge()
    patients = set(marked.images["patient_id"].iloc[sample.rows].dropna())
    rows = marked.rows("val", "test")
    positive = marked.labels(rows) == marked.meta.classes.index(marked.meta.positive)
    theirs = marked.images["patient_id"].iloc[rows].isin(patients).to_numpy(dtype=bool) | np.isin(rows, sample.rows)
    return real_pictures(marked, rows[positive & ~theirs], spec)


def _facts(study: Study, sample: Sample) -> dict[str, Any]:
    request, marked = study.request, study.marked
    settings = request.settings()
    return {
        "images": f"{len(marked)}, {marked.meta.title}; arrow over the lung on every image of {marked.meta.positive!r}",
        "explained": f"N = {len(sample.rows)} test images; the arrow brings {sample.gained.mean():.2f} of probability",
        "classifier": f"{request.network}, {request.input_size} pixels, {request.epochs} epochs",
        "fill of the generative variants": request.fill,
        "settings": "; ".join(
            f"{plain}: {', '.join(str(dict(each)) for each in settings[plain])}" for plain, _ in PAIRS
        ),
        "perturbed images judged": f"{request.queries} of each method and image, drawn from all it queried",
    }


def _examples(units: list[Unit], sample: Sample) -> list[MapExample]:
    """The usual maps, plain beside generative."""
    return [
        MapExample(
            title=f"arrow brings {sample.gained[number]:.2f}",
            image=unit.image.astype(np.float32) / np.float32(255),
            truth=sample.truth[number, 0].numpy(),
            maps={name: unit.maps[name][0] for pair in PAIRS for name in pair},
        )
        for number, unit in enumerate(units[:EXAMPLES])
    ]
