"""What is done with a mutated file, and what may come of it: a result, or a refusal in the product's own words."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.cleanse.repairs.recipe import read_recipe
from pipeline.config import IngestConfig
from pipeline.errors import EmptyResultError, ImageReadError, InputError, ManifestError
from pipeline.ingest import ingest, load_manifest, read_rows
from pipeline.ingest.layout_dicom import read_dicom_folder
from pipeline.ingest.readers import ReadImage, ReadLimits, read_bytes, read_header
from tests.fuzz.bases import COVIDX, MANIFEST, SECRET, TABLE, picture
from tests.fuzz.mutate import IMAGES

LIMITS = ReadLimits()
GOOD = 12
"""Sound images in every ingest of mutated ones: each must come through."""
COVIDX_SOURCE = """\
  - {name: lines, layout: table, format: covidx, table: covidx.txt, path_prefix: images,
     columns: {path: path, label: label, patient_id: patient_id, source: source, split: split}}
"""
BATCH_MANIFEST = """\
name: batch
title: Mutated files among sound ones
licence: CC0-1.0
classes: [good, fuzzed]
positive: fuzzed
sources:
  - {name: mixed, layout: folders, root: mixed}
"""
DICOM_MANIFEST = BATCH_MANIFEST.replace("layout: folders,", "layout: dicom, patient_ids: pseudonyms,")


class WrongOutcomeError(Exception):
    """A result that contradicts itself, or a refusal that says what it must not."""


def judge(kind: str, data: bytes) -> str:
    """What came of one mutated file, in a word.

    Raises:
        Exception: what no file may cause.
    """
    if kind in IMAGES:
        return _judge_image(data)
    return {"manifest": _judge_manifest, "recipe": _judge_recipe}.get(kind, _judge_table(kind))(data)


def _judge_image(data: bytes) -> str:
    refused = header = None
    try:
        header = read_header(data, LIMITS)
    except ImageReadError as error:
        refused = error
    try:
        image = read_bytes(data, LIMITS, salt="fuzz")
    except ImageReadError as error:
        _no_identity(str(error))
        return str(error.reason)
    if header is None:
        raise WrongOutcomeError(f"read_header refuses ({refused}) what read_bytes reads")
    if header.bits != image.bits or sorted(image.pixels.shape) != sorted((header.height, header.width)):
        raise WrongOutcomeError(f"header {header} is not that of the pixels {image.pixels.shape}, {image.bits} bits")
    _check_image(image)
    return "image"


def _check_image(image: ReadImage) -> None:
    expected = np.uint8 if image.bits <= 8 else np.uint16
    if image.pixels.dtype != expected or image.pixels.ndim != 2 or not 1 <= image.bits <= 16:
        raise WrongOutcomeError(f"{image.pixels.dtype} {image.pixels.shape} for {image.bits} bits")
    if SECRET in f"{image.patient_id}{image.study_id}":
        raise WrongOutcomeError("an identity was handed over")


def _no_identity(message: str) -> None:
    if SECRET in message:
        raise WrongOutcomeError("a message quotes a patient")


def _judge_manifest(data: bytes) -> str:
    with _study() as root:
        (root / "manifest.yaml").write_bytes(data)
        try:
            rows = read_rows(load_manifest(root / "manifest.yaml"), root)
        except (InputError, EmptyResultError) as error:
            return type(error).__name__
        return "rows" if len(rows.rows) else "nothing"


def _judge_table(kind: str) -> Callable[[bytes], str]:
    name = "table.csv" if kind == "table" else "covidx.txt"
    manifest = MANIFEST if kind == "table" else MANIFEST.split("sources:")[0] + "sources:\n" + COVIDX_SOURCE
    manifest = manifest.replace("patient_namespaces: {table: shared}\n", "").replace(
        "healthy: ", "COVID-19: ill, pneumonia: ill, healthy: "
    )

    def judged(data: bytes) -> str:
        with _study() as root:
            tabs = b"\t" in data.partition(b"\n")[0]
            (root / (name.replace("csv", "tsv") if tabs else name)).write_bytes(data)
            (root / "manifest.yaml").write_text(manifest.replace("table.csv", "table.tsv") if tabs else manifest)
            try:
                found = read_rows(load_manifest(root / "manifest.yaml"), root)
            except ManifestError as error:
                raise WrongOutcomeError(f"the manifest is sound, but: {error}") from error
            except (InputError, EmptyResultError) as error:
                return type(error).__name__
            return "rows" if len(found.rows) else "nothing"

    return judged


def _judge_recipe(data: bytes) -> str:
    with _study() as root:
        (root / "recipe.yaml").write_bytes(data)
        try:
            read_recipe(str(root / "recipe.yaml"))
        except InputError as error:
            return type(error).__name__
        return "recipe"


class _study:
    """A data root with the images that the manifest and the tables of `bases` speak of; gone at the end."""

    def __enter__(self) -> Path:
        self._root = Path(tempfile.mkdtemp(prefix="fuzz-"))
        (self._root / "images").mkdir()
        for label in ("normal", "ill"):
            (self._root / "folders" / label).mkdir(parents=True)
            (self._root / "folders" / label / "p1_PA.png").write_bytes(b"x")
        for number in range(7):
            (self._root / "images" / f"{number}.png").write_bytes(b"x")
        (self._root / "table.csv").write_text(TABLE)
        (self._root / "covidx.txt").write_text(COVIDX)
        return self._root

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._root)


def judge_ingest(files: list[bytes]) -> str:
    """One real ingest of these files among `GOOD` sound ones: all are accounted for, and the sound ones are kept.

    Raises:
        Exception: what no file may cause.
    """
    root = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        return _judge_ingest(files, root)
    finally:
        shutil.rmtree(root)


def _judge_ingest(files: list[bytes], root: Path) -> str:
    for label in ("good", "fuzzed"):
        (root / "mixed" / label).mkdir(parents=True)
        for number in range(GOOD):
            image = picture(1000 + number + GOOD * (label == "good"))
            Image.fromarray(image).save(root / "mixed" / label / f"sound{number}.png")
    for number, data in enumerate(files):
        (root / "mixed" / "fuzzed" / f"{number:05d}").write_bytes(data)
    (root / "manifest.yaml").write_text(BATCH_MANIFEST)
    (root / "dicom.yaml").write_text(DICOM_MANIFEST)
    met = 2 * GOOD + len(files)
    listed = list(read_dicom_folder(load_manifest(root / "dicom.yaml").sources[0], root))
    if len(listed) != met:
        raise WrongOutcomeError(f"layout dicom lists {len(listed)} of {met} files")
    manifest = load_manifest(root / "manifest.yaml")
    config = IngestConfig(store_size=64, min_side=32)
    version = ingest(manifest, read_rows(manifest, root), root, root / "datasets", config, 0)
    problems = pd.read_parquet(version.path / "problems.parquet")
    sound = version.images["path"].str.contains("sound").sum()
    if len(version.images) + len(problems) != met or sound != 2 * GOOD:
        raise WrongOutcomeError(
            f"of {met} files {len(version.images)} images ({sound} sound) and {len(problems)} problems came out"
        )
    return f"ingest of {len(files)}"
