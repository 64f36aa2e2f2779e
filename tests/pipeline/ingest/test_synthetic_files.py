"""Phantom files: what is read back is what was rendered, and nothing depends on how they were made."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from pydicom.pixels import apply_voi_lut

from pipeline.artifacts import sha256_tree
from pipeline.errors import InputError
from pipeline.ingest.synthetic import PhantomSpec, generate, render
from pipeline.types import REGION_KINDS

SPEC = PhantomSpec(images=14, other_source_images=4, size=96, seed=7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(SPEC, tmp_path_factory.mktemp("phantoms") / "dicom")


def shown(path: Path) -> np.ndarray:
    """What a viewer displays, in [0, 1], by pydicom's own window function."""
    dataset = pydicom.dcmread(path)
    width = float(dataset.WindowWidth)
    low = float(dataset.WindowCenter) - 0.5 - (width - 1) / 2
    windowed = apply_voi_lut(dataset.pixel_array, dataset)
    top = 2 ** int(dataset.BitsStored) - 1
    assert dataset.pixel_array.max() <= top
    assert dataset.pixel_array.min() >= low
    grey = np.asarray(windowed) / top
    return 1 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey


@pytest.mark.slow
def test_files_do_not_depend_on_workers(tmp_path: Path, folder: Path) -> None:
    assert sha256_tree(generate(SPEC, tmp_path / "two", workers=2)) == sha256_tree(folder)


def test_dicom_shows_the_rendered_image_whether_inverted_or_not(folder: Path) -> None:
    kinds = set()
    for index in range(SPEC.images):
        path = folder / f"phantom-a/{index:06d}.dcm"
        kinds.add(pydicom.dcmread(path, stop_before_pixels=True).PhotometricInterpretation)
        assert np.abs(shown(path) - render(SPEC, index, "phantom-a").image).max() < 0.6 / 2600
    assert kinds == {"MONOCHROME1", "MONOCHROME2"}


def test_png_holds_the_rendered_image(tmp_path: Path) -> None:
    png = generate(replace(SPEC, images=2, other_source_images=1, format="png"), tmp_path / "png")
    for source, index in (("phantom-a", 0), ("phantom-a", 1), ("phantom-b", 0)):
        read = np.asarray(Image.open(png / source / f"{index:06d}.png")) / 255
        rendered = render(replace(SPEC, images=2, other_source_images=1), index, source).image  # type: ignore[arg-type]
        assert np.abs(read - rendered).max() < 0.51 / 255


def test_tables_tell_the_truth(folder: Path) -> None:
    images = pd.read_csv(folder / "phantoms.csv", keep_default_na=False)
    marks = pd.read_csv(folder / "marks.csv", keep_default_na=False)
    assert list(images.columns) == ["path", "label", "source", "patient_id", "view", "sex", "age", "split"]
    assert list(images["split"]) == [""] * 14 + ["other_source"] * 4
    assert list(marks.columns) == ["path", "x0", "y0", "x1", "y1", "kind", "text"]
    assert set(marks["kind"]) <= set(REGION_KINDS)
    for index in range(4):
        phantom = render(SPEC, index, "phantom-b")
        rows = marks[marks["path"] == f"phantom-b/{index:06d}.dcm"]
        assert [tuple(box) for box in rows[["x0", "y0", "x1", "y1"]].to_numpy()] == [
            mark.box.as_tuple() for mark in phantom.marks
        ]


def test_dicom_names_nobody_and_every_uid_is_used_once(folder: Path) -> None:
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.rglob("*.dcm"))]
    uids = [header.SOPInstanceUID for header in headers]
    assert len(set(uids)) == len(uids) == 18
    assert all(uid.is_valid and uid.startswith("2.25.") for uid in uids)
    assert all(str(header.PatientName).startswith("PHANTOM^PHANTOM-") for header in headers)


def test_the_same_request_makes_nothing_twice_and_another_is_refused(tmp_path: Path) -> None:
    spec = replace(SPEC, images=2, other_source_images=0)
    folder = generate(spec, tmp_path / "set")
    calls: list[int] = []
    generate(spec, folder, progress=lambda stage, done, total: calls.append(done))
    assert calls == []
    with pytest.raises(InputError, match="another specification"):
        generate(replace(spec, seed=1), folder)
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="holds no phantoms"):
        generate(spec, tmp_path / "mine")


def test_progress_counts_every_image(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    generate(SPEC, tmp_path / "set", progress=lambda stage, done, total: seen.append((done, total)))
    assert seen == [(8, 18), (14, 18), (18, 18)]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian package dicom3tools) is not installed")
def test_an_independent_validator_finds_no_error(folder: Path) -> None:
    for path in sorted(folder.rglob("*.dcm")):
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert "Error" not in said.stderr, said.stderr
        assert "DXImageForPresentation" in said.stderr + said.stdout
