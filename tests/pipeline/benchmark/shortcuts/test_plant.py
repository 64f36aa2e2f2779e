"""Marks on every image, then on those that a strength asks for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.benchmark.shortcuts.grid import Mark, Trial
from pipeline.benchmark.shortcuts.plant import Sheet, composed, make_sheet, marked_rows
from pipeline.benchmark.shortcuts.study import Study
from pipeline.dataset import DatasetVersion, write_version


def test_a_sheet_differs_from_the_base_inside_the_true_boxes_only(sheets: tuple[Sheet, Sheet]):
    plain, printed = sheets
    rows = range(len(plain.version))
    before, after = plain.version.pixels(rows).astype(int), printed.version.pixels(rows).astype(int)
    for row, truth in zip(rows, printed.truth.to_dict("records"), strict=True):
        box = tuple(round(float(truth[name])) for name in ("x0", "y0", "x1", "y1"))
        changed = before[row] != after[row]
        assert changed[box[1] : box[3], box[0] : box[2]].mean() > 0.1
        changed[box[1] : box[3], box[0] : box[2]] = False
        assert not changed.any()


def test_a_sheet_knows_what_was_planted(sheets: tuple[Sheet, Sheet]):
    plain, printed = sheets
    assert plain.truth.empty
    assert printed.truth["image_id"].tolist() == printed.version.images["image_id"].tolist()
    assert set(printed.truth["kind"]) == {"position"}
    assert printed.truth["text"].notna().all()


def test_a_sheet_is_made_once(study: Study, mark: Mark):
    before = (study.sheet(mark) / "planted.parquet").stat().st_mtime_ns
    make_sheet(study, mark)
    assert (study.sheet(mark) / "planted.parquet").stat().st_mtime_ns == before


def test_boxes_are_in_pixels_of_the_original_file(study: Study, mark: Mark, tmp_path: Path):
    """A base whose pictures were stored at half size, with padding to the left."""
    halved = Study(tmp_path, study.seed, study.config)
    base = study.base()
    images = base.images.iloc[:3].assign(width=160, height=192, scale=0.5, pad_x=8.0)
    with write_version(halved.base_folder, 96, "uint8") as writer:
        writer.write_shard(0, images, base.pixels(range(3)))
        writer.finish(base.meta, images, 1)
    make_sheet(halved, mark)
    printed = Sheet.read(halved, mark)
    changed = printed.version.pixels([0])[0] != halved.base().pixels([0])[0]
    rows, columns = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
    truth = printed.truth.iloc[0]
    assert truth["x0"] == pytest.approx((columns.min() - 8) * 2, abs=4)
    assert truth["x1"] == pytest.approx((columns.max() + 1 - 8) * 2, abs=4)
    assert truth["y0"] == pytest.approx(rows.min() * 2, abs=4)
    assert columns.min() >= 8
    assert columns.max() < 88


@pytest.mark.parametrize("target", [0, 1])
def test_at_full_strength_exactly_one_class_is_marked_and_swapped_the_other(study: Study, mark: Mark, target: int):
    base = study.base()
    trial = Trial("planted", mark, 1.0, target)
    labels = base.labels(range(len(base)))
    assert (marked_rows(base, trial, 7) == (labels == target)).all()
    assert (marked_rows(base, trial, 7, swapped=True) == (labels != target)).all()


def test_weaker_shortcuts_mark_a_part_of_the_images_of_stronger_ones(study: Study, mark: Mark):
    base = study.base()
    positive = base.labels(range(len(base))) == 1
    weak, strong = (marked_rows(base, Trial("planted", mark, strength, 1), 7) for strength in (0.6, 0.9))
    assert (strong[positive] >= weak[positive]).all()
    assert (strong[~positive] <= weak[~positive]).all()
    assert not marked_rows(base, Trial("none"), 7).any()


def test_a_trial_takes_each_image_from_its_sheet(sheets: tuple[Sheet, Sheet], tmp_path: Path):
    plain, printed = sheets
    marked = np.arange(24) % 3 == 0
    rows = np.array([9, 1, 3, 2])
    made = composed(sheets, marked, rows, tmp_path / "made")
    expected = np.concatenate([printed.version.pixels([9]), plain.version.pixels([1]),
                               printed.version.pixels([3]), plain.version.pixels([2])])  # fmt: skip
    assert (DatasetVersion(made.version.path).pixels(range(4)) == expected).all()
    names = plain.version.images["image_id"]
    assert set(made.truth["image_id"]) == {names[9], names[3]}
    for name, sheet in ((names[9], printed), (names[1], plain)):
        own = [table[table["image_id"] == name]["region_id"].tolist() for table in (made.regions, sheet.regions)]
        assert own[0] == own[1]
        assert len(own[0]) == 1
