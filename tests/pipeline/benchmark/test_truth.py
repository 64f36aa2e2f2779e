"""Boxes land on the right pixels, and only a mark that is read counts as truth."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline.benchmark import planted_marks, read_marks
from pipeline.benchmark.truth import box_mask, deciding_marks, truth_masks
from pipeline.errors import InputError
from pipeline.types import Box
from tests.toys import QUARRY

HEAD = "path,x0,y0,x1,y1,kind,text\n"


def test_a_box_covers_every_input_pixel_it_touches(toy_spec):
    mask = box_mask(Box(16, 32, 24, 44), 56, toy_spec)
    assert np.argwhere(mask).min(axis=0).tolist() == [16, 8]
    assert np.argwhere(mask).max(axis=0).tolist() == [21, 11]
    assert mask.sum() == 6 * 4
    wide = replace(toy_spec, input_size=(28, 14))
    assert np.argwhere(box_mask(Box(17, 32, 23, 33), 56, wide)).tolist() == [[16, 4], [16, 5]]
    assert not box_mask(Box(60, 60, 70, 70), 56, toy_spec).any()


def test_masks_of_unknown_truth_are_empty(toy_spec):
    masks = truth_masks([None, Box(0, 0, 1, 1)], 28, toy_spec)
    assert masks.shape == (2, 1, 28, 28)
    assert masks.sum(dim=(1, 2, 3)).tolist() == [0, 1]


def test_marks_are_read_by_path(tmp_path):
    table = tmp_path / "marks.csv"
    table.write_text(HEAD + "a.png,1,2,3,4,word,NA\nb.png,0,0,5,5,side,R\na.png,6,6,8,9,date,1.1.2020\n")
    assert read_marks(table) == {"a.png": (Box(1, 2, 3, 4), Box(6, 6, 8, 9)), "b.png": (Box(0, 0, 5, 5),)}


@pytest.mark.parametrize("text", ["path,x0,y0,x1\na.png,1,2,3\n", HEAD + "a.png,3,2,3,4,word,A\n", ""])
def test_a_table_without_boxes_is_refused(tmp_path, text):
    table = tmp_path / "marks.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=r"marks\.csv.*x0"):
        read_marks(table)


def test_planted_marks_are_found_by_the_bytes_of_the_images(tmp_path):
    for folder, content in (("aa", b"other"), ("bb", b"mine")):
        (tmp_path / "generated" / folder).mkdir(parents=True)
        (tmp_path / "generated" / folder / "0.png").write_bytes(content)
        (tmp_path / "generated" / folder / "marks.csv").write_text(HEAD + f"{folder},1,2,3,4,side,R\n")

    def dataset(content: bytes) -> SimpleNamespace:
        images = pd.DataFrame({"path": ["0.png"], "file_sha256": [hashlib.sha256(content).hexdigest()]})
        return SimpleNamespace(images=images, path=tmp_path / "datasets" / "toy" / "v1")

    assert planted_marks(dataset(b"mine")) == {"bb": (Box(1, 2, 3, 4),)}
    assert planted_marks(dataset(b"unknown")) is None


def test_the_mark_that_is_read_decides_and_the_ignored_one_does_not(study, square_mean, toy_spec):
    rows = np.array([0, 1, 2])
    boxes = deciding_marks(square_mean, toy_spec, study.dataset, rows, np.array([1, 0, 1]), study.marks)
    quarry = study.marks["0.png"][1]
    assert boxes == [quarry, None, quarry]
    mask = truth_masks(boxes, study.dataset.meta.size, toy_spec)[0, 0]
    assert mask[QUARRY].all()
    assert mask.sum() == 36


def test_boxes_are_in_original_pixels(study, square_mean, toy_spec, monkeypatch):
    """Original pixels are twice as fine and 3 lower than the store: the transform must be used."""
    table = study.dataset.images.assign(scale=0.5, pad_y=3.0, width=56, height=50)
    monkeypatch.setattr(study.dataset, "images", table)
    marks = {"0.png": (Box(16, 10, 28, 22),)}
    (box,) = deciding_marks(square_mean, toy_spec, study.dataset, np.array([0]), np.array([1]), marks)
    assert box == Box(8, 8, 14, 14)
