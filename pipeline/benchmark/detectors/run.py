"""Recall and precision of the region detectors where the truth is known, resumably.

<out>/run.json           what was asked, and the sha256 of each artifact
      planted.parquet    one row a planted mark: where, what, how, and whether it was found
      boxes.parquet      one row a box that was not there before planting
      copies.parquet     one row an image copy with marks
      eye_marks.parquet  one row a mark boxed by a person; eye_images.parquet one row an image so looked at
      seconds.parquet    process time of every detector and image; no two runs agree on it
      summary.parquet    all rates, `summary.SUMMARY`
      table.md           the same to read
      misses.png         cut-outs of what was missed
      units/             while it runs: what is finished, one file an image
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from pipeline.artifacts import (
    RunFolder,
    atomic_file,
    code_version,
    read_json,
    read_parquet,
    sha256_file,
    write_json,
    write_parquet,
    write_text,
)
from pipeline.benchmark.detectors.eyes import Truth, read_truth, score_file
from pipeline.benchmark.detectors.misses import Miss, encoded, sheet
from pipeline.benchmark.detectors.summary import summarise
from pipeline.benchmark.detectors.table import markdown
from pipeline.benchmark.detectors.trial import load, try_image
from pipeline.errors import EmptyResultError, ImageReadError, InputError
from pipeline.progress import Progress, silent
from pipeline.randomness import derive_seed

TABLES: dict[str, dict[str, str]] = {
    "planted": {
        **{"image": "string", "copy": "int64", "kind": "string", "height": "Int64", "polarity": "string"},
        **{"rotation": "string", "background": "string", "text": "string", "frame": "string"},
        **dict.fromkeys(("x0", "y0", "x1", "y1"), "float64"),
        **{"found": "bool", "found_kind": "string", "detector": "string", "confidence": "Float64", "iou": "Float64"},
        "text_right": "boolean",
    },
    "boxes": {
        **{"image": "string", "copy": "int64", "kind": "string", "detector": "string"},
        **dict.fromkeys(("x0", "y0", "x1", "y1"), "float64"),
        **{"on": "string", "false": "bool"},
    },
    "copies": {"image": "string", "copy": "int64", "unplaced": "int64"},
    "seconds": {"image": "string", "detector": "string", "seconds": "float64"},
    "eye_marks": {"image": "string", "half": "string", "kind": "string", "found": "bool", "found_kind": "string"},
    "eye_images": {"image": "string", "half": "string", "boxes": "int64", "false": "int64"},
}
"""Columns of each table."""
ARTIFACTS = (*(f"{name}.parquet" for name in TABLES), "summary.parquet", "table.md", "misses.png")


@dataclass(frozen=True)
class DetectorRequest:
    """What is asked.

    Attributes:
        images: folder of real x-rays, searched recursively.
        marks: table of marks boxed by a person, paths relative to `images`; None: none.
        count: how many images get marks planted; 0: only the marks boxed by eye are scored.
        seed: of the sample and of everything planted.
    """

    images: Path
    marks: Path | None = None
    count: int = 60
    seed: int = 0


def benchmark_detectors(request: DetectorRequest, out: Path, *, progress: Progress = silent) -> pd.DataFrame:
    """Plant, detect, score; see the module for the files.

    What is finished is kept under ``units`` and not computed again after an interruption.

    Args:
        request: what is asked.
        out: result folder; one that holds the answer to the same request is read, not made again.
        progress: told after every image.

    Returns:
        summary.parquet.

    Raises:
        EmptyResultError: there is nothing to score.
        InputError: the table of marks cannot be used.
        ImageReadError: an image of that table cannot be read.
        IntegrityError: `out` belongs to another request.
        StorageError: `out` cannot be written.
    """
    sample = sample_files(request.images, request.count, request.seed)
    truth = read_truth(request.marks) if request.marks else {}
    if not sample and not truth:
        raise EmptyResultError(f"{request.images} holds no x-ray that can be read. Give a folder of images.")
    run = RunFolder(out, _identity(request, sample, truth))
    if not all(run.has(name) for name in ARTIFACTS):
        units = out / "units"
        _planted(request, sample, units, progress)
        _eyed(request, truth, units, progress)
        _write(run, request, units)
        shutil.rmtree(units)
    return read_parquet(out / "summary.parquet")


def sample_files(folder: Path, count: int, seed: int) -> list[str]:
    """Names below `folder` of `count` images that can be read, drawn at random; a larger sample holds a smaller one."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    chosen: list[str] = []
    for name in sorted(names, key=lambda name: derive_seed(seed, "detector sample", name)):
        if len(chosen) == count:
            break
        try:
            load(folder / name)
        except ImageReadError:
            continue
        chosen.append(name)
    return chosen


def _identity(request: DetectorRequest, sample: Sequence[str], truth: Truth) -> dict[str, Any]:
    for name in truth:
        if not (request.images / name).is_file():
            raise InputError(f"{request.marks} lists {name}, which {request.images} does not hold. Check --images.")
    return {
        "planted": {name: sha256_file(request.images / name) for name in sample},
        "eyed": {name: sha256_file(request.images / name) for name in truth},
        "marks": sha256_file(request.marks) if request.marks else None,
        "seed": request.seed,
        "code": code_version("pipeline.flag", "pipeline.benchmark.detectors", "pipeline.benchmark.planting", "models"),
    }


def _planted(request: DetectorRequest, sample: Sequence[str], units: Path, progress: Progress) -> None:
    for number, name in enumerate(sample):
        unit = units / f"planted-{_short(name)}"
        if not unit.with_suffix(".json").exists():
            trial = try_image(load(request.images / name), name, request.seed)
            _keep(unit, trial.records, trial.misses)
        progress("plant and detect", number + 1, len(sample))


def _eyed(request: DetectorRequest, truth: Truth, units: Path, progress: Progress) -> None:
    for number, (name, marks) in enumerate(truth.items()):
        unit = units / f"eyes-{_short(name)}"
        if not unit.with_suffix(".json").exists():
            _keep(unit, *score_file(request.images, name, marks))
        progress("marks boxed by eye", number + 1, len(truth))


def _short(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _keep(unit: Path, records: dict[str, list[dict[str, Any]]], misses: Sequence[Miss]) -> None:
    """The records last: where they stand, the unit is finished."""
    unit.parent.mkdir(parents=True, exist_ok=True)
    for number, miss in enumerate(misses):
        with atomic_file(unit.with_name(f"{unit.name}-{number:03d} {miss.kind}.png")) as temporary:
            temporary.write_bytes(encoded(miss.picture))
    write_json(unit.with_suffix(".json"), records)


def _write(run: RunFolder, request: DetectorRequest, units: Path) -> None:
    parts = [read_json(path) for path in sorted(units.glob("*.json"))]
    tables = {
        name: pd.DataFrame([row for part in parts for row in part.get(name, [])], columns=list(kinds)).astype(kinds)
        for name, kinds in TABLES.items()
    }
    for name, table in tables.items():
        write_parquet(run.path / f"{name}.parquet", table)
    summary = summarise(tables)
    write_parquet(run.path / "summary.parquet", summary)
    write_text(run.path / "table.md", markdown(tables, summary, _sampled(tables, request.seed)))
    with atomic_file(run.path / "misses.png") as temporary:
        temporary.write_bytes(encoded(sheet(list(_cut_outs(units)))))
    for name in ARTIFACTS:
        run.record(name)


def _sampled(tables: dict[str, pd.DataFrame], seed: int) -> str:
    copies, planted = tables["copies"], tables["planted"]
    return (
        f"{len(planted)} marks on {len(copies)} copies of {copies['image'].nunique()} real x-rays drawn at random "
        f"(seed {seed}); for {copies['unplaced'].sum()} more there was no free place where they could be seen."
    )


def _cut_outs(units: Path) -> Iterator[tuple[str, np.ndarray[Any, np.dtype[np.uint8]]]]:
    for path in sorted(units.glob("*.png")):
        yield path.stem.split(" ", 1)[1], np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
