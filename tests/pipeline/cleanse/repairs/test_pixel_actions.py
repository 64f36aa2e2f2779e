"""What is done to every picture: known boxes and grey levels, the same for all classes, also where lungs are missed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.artifacts import read_json
from pipeline.cleanse import Lungs
from pipeline.cleanse.masks import content_window
from pipeline.cleanse.repairs import Bench, PixelAction, Repair, only, prepare
from pipeline.cleanse.repairs.harmonise import Harmonise, _mapped, _standard, _window
from pipeline.cleanse.repairs.lungs import BlackOutOutsideLungs, CropToLungs
from pipeline.dataset import DatasetVersion
from pipeline.errors import EmptyResultError
from tests.pipeline.cleanse.repairs.conftest import MISSED, lung_mask

PIXEL_ACTIONS = [CropToLungs(), BlackOutOutsideLungs(), Harmonise()]


def _done(action: PixelAction, bench: Bench) -> DatasetVersion:
    return action.fitted(bench, bench.dataset)(bench.dataset)


def _row(version: DatasetVersion, image_id: str) -> int:
    return int(np.flatnonzero(version.images["image_id"] == image_id)[0])


def test_the_box_around_the_lungs_fills_the_store(bench: Bench) -> None:
    cropped = _done(CropToLungs(margin=0), bench)
    record = cropped.images.iloc[0]
    assert (record["width"], record["height"]) == (64, 64)  # 32 x 32 stored pixels at scale 1/2
    assert content_window(record.to_dict()) == (slice(0, 64), slice(0, 64))
    wanted = torch.nn.functional.interpolate(
        bench.dataset.tensor([0])[:, :, 16:48, 16:48], (64, 64), mode="bilinear", antialias=True
    )
    assert torch.allclose(cropped.tensor([0]), wanted, atol=1 / 255)


def test_the_margin_is_a_share_of_the_longer_side_and_ends_at_the_picture(bench: Bench) -> None:
    record = _done(CropToLungs(margin=0.25), bench).images.iloc[0]  # 16 stored pixels; 8 are left to each side
    assert (record["width"], record["height"]) == (96, 128)


def test_outside_the_margin_all_is_black_and_inside_nothing_changes(bench: Bench) -> None:
    raw, kept = bench.dataset.pixels([0])[0], _done(BlackOutOutsideLungs(margin=0), bench).pixels([0])[0]
    assert (kept[lung_mask()] == raw[lung_mask()]).all()
    assert (kept[~lung_mask()] == 0).all()
    wider = _done(BlackOutOutsideLungs(margin=2 / 64), bench).pixels([0])[0]
    assert wider[14, 20] == raw[14, 20]
    assert wider[13, 20] == 0


@pytest.mark.parametrize("action", [CropToLungs(), BlackOutOutsideLungs()], ids=lambda action: action.action)
def test_a_picture_without_lungs_is_treated_as_the_others_and_counted(action: PixelAction, bench: Bench) -> None:
    made = _done(action, bench)
    assert read_json(made.path / "lineage.json")["lungs_not_found"] == 1
    missed = _row(made, MISSED)
    found = replace(bench, lungs_name="all", find_lungs=lambda v: _everywhere(v))
    wanted = _done(action, found)
    assert (made.pixels([missed]) == wanted.pixels([missed])).mean() > 0.98


def _everywhere(version: DatasetVersion) -> Lungs:
    return Lungs("all", version.meta.size, {str(name): lung_mask() for name in version.images["image_id"]})


def test_no_lungs_on_any_training_picture_is_an_error(bench: Bench) -> None:
    blind = replace(bench, lungs_name="none", find_lungs=lambda v: Lungs("none", v.meta.size, {}))
    with pytest.raises(EmptyResultError, match="Lungs were found on 0 training images"):
        _done(CropToLungs(), blind)


def test_harmonised_pictures_have_the_same_deciles(bench: Bench) -> None:
    made = _done(Harmonise(trim=False), bench)
    deciles = [np.percentile(_content(made, row), range(20, 100, 10)) for row in range(len(made))]
    assert np.ptp(deciles, axis=0).max() < 0.04


def _content(version: DatasetVersion, row: int) -> np.ndarray:
    window = content_window(version.images.iloc[row].to_dict())
    return version.tensor([row])[0, 0].numpy()[window]


def test_exposure_and_window_leave_no_trace(dataset: DatasetVersion) -> None:
    """A darker, flatter copy of a picture becomes the same picture."""
    standard = _standard(dataset, trim=False)
    rows, columns = content_window(dataset.images.iloc[0].to_dict())
    bright = dataset.tensor([0])[0][:, rows, columns]
    assert torch.allclose(_mapped(bright * 0.5 + 0.2, standard), _mapped(bright, standard), atol=1e-4)


def test_constant_borders_are_cut_off(dataset: DatasetVersion) -> None:
    image, record = dataset.tensor([0])[0].clone(), dataset.images.iloc[0].to_dict()
    image[:, :6, 8:56] = 0.9
    image[:, :, 8:12] = 0.0
    assert _window(image, record, trim=True) == (6, 64, 4, 48)
    assert _window(image, record, trim=False) == (0, 64, 0, 48)
    image[:, :40, 8:56] = 0.9  # more than half: film without contrast, not a border
    assert _window(image, record, trim=True)[:2] == (0, 64)


@pytest.mark.parametrize("action", PIXEL_ACTIONS, ids=lambda action: action.action)
def test_the_class_is_not_seen(
    action: PixelAction, make_dataset: Callable[..., DatasetVersion], make_bench: Callable[..., Bench]
) -> None:
    labels = ["covid" if number % 2 else "rest" for number in range(24)]
    plain = make_dataset(name="plain", labels=labels)
    turned = make_dataset(name="turned", labels=[{"covid": "rest", "rest": "covid"}[label] for label in labels])
    rows = np.arange(24)
    first, second = (_done(action, make_bench(each)) for each in (plain, turned))
    assert (first.pixels(rows) == second.pixels(rows)).all()


@pytest.mark.parametrize("action", PIXEL_ACTIONS, ids=lambda action: action.action)
def test_what_is_learned_on_the_training_pictures_is_used_on_all(action: PixelAction, bench: Bench) -> None:
    """Transforming a version of the test images alone gives the bytes that transforming all of them gives."""
    transform = action.fitted(bench, bench.dataset)
    rows = bench.dataset.rows("test")
    alone, whole = transform(only(bench.dataset, rows, bench)), transform(bench.dataset)
    assert (alone.pixels(np.arange(len(rows))) == whole.pixels(rows)).all()
    place = ["width", "height", "scale", "pad_x", "pad_y"]
    pd.testing.assert_frame_equal(alone.images[place], whole.images[place].iloc[rows].reset_index(drop=True))


def test_splits_labels_and_parents_are_kept(bench: Bench) -> None:
    repair = Repair.model_validate(
        {"name": "all", "actions": [{"action": "fill"}, {"action": "harmonise"}, {"action": "crop-to-lungs"}]}
    )
    prepared = prepare(repair, bench)
    kept = ["image_id", "label", "split", "patient_id"]
    pd.testing.assert_frame_equal(prepared.training.images[kept], bench.dataset.images[kept])
    assert [fact["action"] for fact in prepared.facts] == ["fill", "harmonise", "crop-to-lungs"]
    lineage = read_json(prepared.training.path / "lineage.json")
    assert lineage["parent"] == prepared.facts[1]["version"]
    assert lineage["typical_of"] == prepared.facts[1]["version"]
