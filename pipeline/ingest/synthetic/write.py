"""Write phantoms and their truth into a folder: images as DICOM or PNG, and three small tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.artifacts import atomic_folder, read_json, write_json, write_text
from pipeline.errors import InputError
from pipeline.ingest.synthetic.dicom import dicom_file
from pipeline.ingest.synthetic.phantom import Phantom, PhantomSpec, Source, render
from pipeline.integrity import present, seal
from pipeline.locks import locked
from pipeline.progress import Progress, silent
from pipeline.randomness import numpy_generator
from pipeline.spread import mapper

_TASK = 8
"""Images one worker makes at a time."""
_TRUTH = "phantoms.json"
_IMAGE_COLUMNS = ("path", "label", "source", "patient_id", "view", "sex", "age", "split")
_MARK_COLUMNS = ("path", "x0", "y0", "x1", "y1", "kind", "text")

Job = tuple[PhantomSpec, Source, range, Path]
Made = tuple[dict[str, Any], list[dict[str, Any]]]
"""Row of phantoms.csv, rows of marks.csv."""


def generate(spec: PhantomSpec, folder: Path, *, workers: int = 1, progress: Progress = silent) -> Path:
    """Write the phantoms of `spec` into `folder`; a folder that holds them already is left as it is.

    <folder>/phantom-a/*.dcm  phantom-b/*.dcm    the images (or *.png)
             phantoms.csv     path, label, source, patient_id, view, sex, age, split
             marks.csv        path, x0, y0, x1, y1, kind, text: true boxes in image pixels, x1 and y1 exclusive
             phantoms.json    the specification

    Same specification, same bytes, with any number of workers.

    Raises:
        InputError: `folder` holds something else.
        StorageError: the disk is full or not ours to write.
    """
    with locked(folder, "generates phantoms"):
        if not present(folder):
            _generate(spec, folder, workers, progress)
        else:
            _check_same(spec, folder)
    return folder


def _generate(spec: PhantomSpec, folder: Path, workers: int, progress: Progress) -> None:
    with atomic_folder(folder) as working:
        made: list[Made] = []
        with mapper(workers, together=1) as spread:
            for batch in spread(_make, list(_jobs(spec, working))):
                made += batch
                progress("generate phantoms", len(made), spec.images + spec.other_source_images)
        _write_table(working / "phantoms.csv", _IMAGE_COLUMNS, [row for row, _ in made])
        _write_table(working / "marks.csv", _MARK_COLUMNS, [mark for _, marks in made for mark in marks])
        write_json(working / _TRUTH, asdict(spec))
        seal(working)


def _check_same(spec: PhantomSpec, folder: Path) -> None:
    truth = folder / _TRUTH
    if not truth.exists():
        raise InputError(f"{folder} exists and holds no phantoms. Give a folder that does not exist yet.")
    if read_json(truth) != asdict(spec):
        raise InputError(f"{folder} holds phantoms of another specification. Give another folder or remove it.")


def _jobs(spec: PhantomSpec, folder: Path) -> Iterator[Job]:
    counts: dict[Source, int] = {"phantom-a": spec.images, "phantom-b": spec.other_source_images}
    for source, count in counts.items():
        (folder / source).mkdir()
        for start in range(0, count, _TASK):
            yield spec, source, range(start, min(start + _TASK, count)), folder


def _make(job: Job) -> list[Made]:
    spec, source, indices, folder = job
    return [_write_one(spec, source, index, folder) for index in indices]


def _write_one(spec: PhantomSpec, source: Source, index: int, folder: Path) -> Made:
    phantom = render(spec, index, source)
    path = f"{source}/{index:06d}.{'dcm' if spec.format == 'dicom' else 'png'}"
    if spec.format == "dicom":
        identity = (repr(spec), source, index)
        file = dicom_file(phantom, identity, numpy_generator(spec.seed, "file", source, index))
        file.save_as(folder / path, enforce_file_format=True)
    else:
        Image.fromarray(np.rint(phantom.image * 255).astype(np.uint8)).save(folder / path)
    return _image_row(phantom, path, source), _mark_rows(phantom, path)


def _image_row(phantom: Phantom, path: str, source: Source) -> dict[str, Any]:
    split = "other_source" if source == "phantom-b" else ""
    known = (phantom.label, source, phantom.patient, phantom.view, phantom.sex, phantom.age, split)
    return dict(zip(_IMAGE_COLUMNS, (path, *known), strict=True))


def _mark_rows(phantom: Phantom, path: str) -> list[dict[str, Any]]:
    return [
        dict(zip(_MARK_COLUMNS, (path, *map(int, mark.box.as_tuple()), mark.kind, mark.text), strict=True))
        for mark in phantom.marks
    ]


def _write_table(path: Path, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    write_text(path, pd.DataFrame(rows, columns=list(columns)).to_csv(index=False, lineterminator="\n"))
