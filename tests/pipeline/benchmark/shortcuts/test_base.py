"""The images that marks are planted on."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.benchmark.shortcuts.base import phantom_base, take_base
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> DatasetVersion:
    return phantom_base(24, 64, 3, tmp_path_factory.mktemp("phantoms") / "base")


def test_phantoms_keep_patients_in_one_split_and_classes_even(phantoms: DatasetVersion):
    images = phantoms.images
    assert (images.groupby("patient_id")["split"].nunique() == 1).all()
    counts = images.groupby(["split", "label"]).size().unstack()
    assert (counts["clear"] == counts["opacity"]).all()
    assert set(counts.index) == {"train", "val", "test"}


def test_the_same_seed_gives_the_same_phantoms(phantoms: DatasetVersion, tmp_path: Path):
    again = phantom_base(24, 64, 3, tmp_path / "again")
    assert (again.pixels([0, 23]) == phantoms.pixels([0, 23])).all()


def test_a_base_keeps_classes_sources_and_pixels(phantoms: DatasetVersion, tmp_path: Path):
    base = take_base(phantoms, ("opacity", "clear"), ("phantom-a",), 400, 0, tmp_path / "base")
    assert base.meta.classes == ("opacity", "clear")
    assert base.meta.positive == "opacity"
    assert (base.pixels(range(24)) == phantoms.pixels(range(24))).all()
    assert phantoms.meta.classes == ("clear", "opacity")


def test_a_large_base_is_sampled_and_keeps_its_splits(phantoms: DatasetVersion, tmp_path: Path):
    base = take_base(phantoms, (), (), 18, 0, tmp_path / "base")
    split = phantoms.images.set_index("image_id")["split"]
    assert len(base) == 18
    assert (base.images["split"].to_numpy() == split.loc[base.images["image_id"]].to_numpy()).all()


@pytest.mark.parametrize(
    ("classes", "sources", "message"),
    [
        (("clear", "opacitiy"), (), "Did you mean 'opacity'"),
        (("clear",), (), "two classes, found 1"),
        ((), ("elsewhere",), "no 'elsewhere'"),
    ],
)
def test_what_cannot_be_a_base_is_said(
    phantoms: DatasetVersion, tmp_path: Path, classes: tuple[str, ...], sources: tuple[str, ...], message: str
):
    with pytest.raises(InputError, match=message):
        take_base(phantoms, classes, sources, 400, 0, tmp_path / "base")
