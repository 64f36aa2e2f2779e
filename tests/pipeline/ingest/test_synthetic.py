"""Phantoms: what they claim about themselves is true of their pixels."""

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

from pipeline.artifacts import sha256_tree
from pipeline.ingest.synthetic import POSITIVE, PhantomSpec, generate, render
from pipeline.types import REGION_KINDS

SPEC = PhantomSpec(images=40, other_source_images=10, size=160, strength=0.9, seed=7)


def test_an_image_depends_on_its_arguments_alone() -> None:
    assert np.array_equal(render(SPEC, 3, "phantom-a").image, render(SPEC, 3, "phantom-a").image)
    assert not np.array_equal(render(SPEC, 3, "phantom-a").image, render(replace(SPEC, seed=8), 3, "phantom-a").image)


@pytest.mark.parametrize("index", range(6))
def test_boxes_hold_all_ink_and_are_tight(index: int) -> None:
    printed, plain = render(SPEC, index, "phantom-a"), render(SPEC, index, "phantom-a", with_marks=False)
    ink = np.abs(printed.image - plain.image) > 0.2
    inside = np.zeros_like(ink)
    for mark in printed.marks:
        assert mark.kind in REGION_KINDS
        assert mark.box.clipped(SPEC.size, SPEC.size) == mark.box
        x0, y0, x1, y1 = (int(value) for value in mark.box.as_tuple())
        inside[y0:y1, x0:x1] = True
        changed = np.abs(printed.image - plain.image)[y0:y1, x0:x1] > 0.02
        assert changed.any(axis=0)[[0, -1]].all()
        assert changed.any(axis=1)[[0, -1]].all()
    assert not (ink & ~inside).any()


def test_mark_and_class_are_tied_as_asked() -> None:
    spec = PhantomSpec(images=400, other_source_images=300, size=64, strength=0.8, seed=1)
    rates = {}
    for source, count in (("phantom-a", 400), ("phantom-b", 300)):
        phantoms = [render(spec, index, source) for index in range(count)]  # type: ignore[arg-type]
        for positive in (True, False):
            group = [p for p in phantoms if (p.label == POSITIVE) == positive]
            rates[source, positive] = np.mean([any(m.text == spec.mark for m in p.marks) for p in group])
    assert rates["phantom-a", True] == pytest.approx(0.9, abs=0.07)
    assert rates["phantom-a", False] == pytest.approx(0.1, abs=0.07)
    assert rates["phantom-b", True] == pytest.approx(0.5, abs=0.12)
    assert rates["phantom-b", False] == pytest.approx(0.5, abs=0.12)


def test_opacities_are_bright_bilateral_and_scale_with_visibility() -> None:
    gains = []
    for visibility in (0.2, 0.8):
        with_disease = render(replace(SPEC, honest_signal=visibility), 0, "phantom-a", with_marks=False)
        without = render(replace(SPEC, honest_signal=0.0), 0, "phantom-a", with_marks=False)
        assert with_disease.label == POSITIVE
        where = with_disease.opacities
        assert where[:, : SPEC.size // 2].any()
        assert where[:, SPEC.size // 2 :].any()
        gains.append(float((with_disease.image - without.image)[where].mean()))
    assert 0 < gains[0] < gains[1]


def test_patients_keep_label_sex_and_age() -> None:
    phantoms = [render(replace(SPEC, size=64), index, "phantom-a") for index in range(40)]
    table = pd.DataFrame(
        [(p.patient, p.label, p.sex, p.age) for p in phantoms], columns=["patient", "label", "sex", "age"]
    )
    assert table["patient"].duplicated().any()
    assert len(table.drop_duplicates()) == table["patient"].nunique()


def test_files_do_not_depend_on_workers(tmp_path: Path) -> None:
    spec = replace(SPEC, images=12, other_source_images=4, size=64)
    assert sha256_tree(generate(spec, tmp_path / "one")) == sha256_tree(generate(spec, tmp_path / "two", workers=2))


def test_dicom_and_png_hold_the_rendered_image(tmp_path: Path) -> None:
    spec = replace(SPEC, images=6, other_source_images=2)
    folder = generate(spec, tmp_path / "dicom")
    for index in (0, 1):  # 0 is stored inverted
        dataset = pydicom.dcmread(folder / f"phantom-a/{index:06d}.dcm")
        stored = dataset.pixel_array / 4095
        shown = 1 - stored if dataset.PhotometricInterpretation == "MONOCHROME1" else stored
        assert np.abs(shown - render(spec, index, "phantom-a").image).max() < 1 / 4095
    assert pydicom.dcmread(folder / "phantom-a/000000.dcm").PhotometricInterpretation == "MONOCHROME1"
    png = generate(replace(spec, format="png"), tmp_path / "png")
    read = np.asarray(Image.open(png / "phantom-a/000001.png")) / 255
    assert np.abs(read - render(spec, 1, "phantom-a").image).max() < 1 / 255
    table = pd.read_csv(folder / "phantoms.csv")
    assert list(table["split"].fillna("")) == [""] * 6 + ["other_source"] * 2


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian package dicom3tools) is not installed")
def test_an_independent_validator_finds_no_error(tmp_path: Path) -> None:
    folder = generate(replace(SPEC, images=6, other_source_images=1), tmp_path / "dicom")
    for path in sorted(folder.rglob("*.dcm")):
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert "Error" not in said.stderr, said.stderr
        assert "DXImageForPresentation" in said.stderr + said.stdout
