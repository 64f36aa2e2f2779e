"""One neutral marker, the same everywhere: in images with and without a marker of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.cleanse import Plan, apply_plan, make_plan, marker_swapped, random_control
from pipeline.cleanse.normalise import BRIGHTNESS, draw_markers, marker_mask, neutral_marker
from pipeline.config import CleanseConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError

RECORD = {"image_id": "a", "width": 200, "height": 100, "scale": 1.0, "pad_x": 0.0, "pad_y": 50.0}


@pytest.fixture
def plan(dataset: DatasetVersion, regions: pd.DataFrame, findings: list[dict[str, Any]]) -> Plan:
    config = CleanseConfig(fill="median", dilation=1.0, policies={"side": "normalise"})
    return make_plan(findings, regions, dataset, config)


def test_a_disc_of_known_size_and_place() -> None:
    opacity = neutral_marker((1000, 2000))
    rows, columns = np.nonzero(opacity > 0.5)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (30, 69, 30, 69)  # 3 % off, 4 % wide
    assert opacity.sum() == pytest.approx(np.pi * 20**2, rel=0.01)


def test_drawing_changes_the_disc_and_nothing_else() -> None:
    images = torch.rand(1, 1, 200, 200, generator=torch.Generator().manual_seed(0))
    drawn = draw_markers(images, [RECORD])
    inside = np.zeros((200, 200), dtype=bool)
    inside[50:150] = marker_mask(RECORD)
    assert torch.equal(drawn[0, 0][~torch.from_numpy(inside)], images[0, 0][~torch.from_numpy(inside)])
    assert float(drawn[0, 0, 55, 5]) == pytest.approx(BRIGHTNESS)


def test_every_image_carries_the_same_marker_and_none_its_own(
    tmp_path: Path, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame
) -> None:
    # Moved down, so that marks do not meet the neutral marker.
    regions = regions.assign(y0=regions["y0"] + 40, y1=regions["y1"] + 40)
    result = apply_plan(dataset, plan, regions, tmp_path).pixels(range(24))
    disc = neutral_marker((64, 48)) == 1
    assert disc.sum() >= 1
    assert np.unique(result[:, :, 8:56][:, disc]).tolist() == [round(BRIGHTNESS * 255)]
    touched = np.zeros((64, 64), dtype=bool)
    touched[:, 8:56] = neutral_marker((64, 48)) > 0
    touched[23:31, 11:21] = True
    assert not (result != dataset.pixels(range(24)))[:, ~touched].any()


def test_its_pixels_are_counted_in_all_images(plan: Plan) -> None:
    disc = int((neutral_marker((64, 48)) > 0).sum())
    overlap = int((neutral_marker((64, 48))[3:11, 3:13] > 0).sum())
    assert [count.images for count in plan.impact.values()] == [12, 12]
    assert plan.impact["rest"].pixels == 12 * disc + 80 - overlap
    assert plan.impact["rest"].share == pytest.approx(plan.impact["rest"].pixels / (12 * 64 * 48), abs=1e-6)


def test_control_and_swapped_images_show_no_neutral_marker(
    tmp_path: Path, dataset: DatasetVersion, plan: Plan, regions: pd.DataFrame
) -> None:
    removing = plan.model_copy(update={"lines": (plan.lines[0].model_copy(update={"policy": "remove"}),)})
    for make in (random_control, marker_swapped):
        one, two = (make(dataset, each, regions, tmp_path) for each in (plan, removing))
        assert one.path != two.path
        assert np.array_equal(one.pixels(range(len(one))), two.pixels(range(len(two))))


def test_only_side_markers_can_be_normalised(
    dataset: DatasetVersion, regions: pd.DataFrame, findings: list[dict[str, Any]]
) -> None:
    config = CleanseConfig(policies={"date": "normalise"})
    with pytest.raises(InputError, match="date cannot be normalised, only side markers can"):
        make_plan(findings, regions, dataset, config, {"F2": "reviewer ann"})
