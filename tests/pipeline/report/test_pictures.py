"""Pictures and figures: right place, right size, same bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from pipeline.report import METRICS, Example
from pipeline.report.figures import DARK, LIGHT, comparison_figure
from pipeline.report.pictures import LONGEST, as_picture, close_up, outlined, overlay, panes
from pipeline.types import Box


def opened(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1])))


def test_panes_of_an_example(make_example: Callable[..., Example]) -> None:
    found = panes(make_example())
    assert [pane.caption for pane in found] == [
        "Image, regions outlined",
        "Saliency, igos++",
        "Cleansed",
        "Close-up: before, after",
    ]
    for pane in found:
        assert pane.address.startswith("data:image/jpeg;base64,")
        assert opened(pane.address).size == (pane.width, pane.height)
    assert panes(make_example()) == found
    bare = replace(make_example(), saliency=None, cleansed=None)
    assert [pane.caption for pane in panes(bare)] == ["Image, regions outlined", "Close-up"]


def test_large_images_are_reduced_and_grey_levels_kept() -> None:
    picture = as_picture(np.full((1000, 2000), 0.5, dtype=np.float32))
    assert picture.size == (LONGEST, LONGEST // 2)
    assert picture.getpixel((100, 100)) == (128, 128, 128)


def test_outline_surrounds_the_box_and_leaves_it_visible() -> None:
    picture = outlined(as_picture(np.zeros((100, 100), dtype=np.float32)), (Box(20, 30, 40, 50),), 2.0)
    wide = outlined(Image.new("RGB", (200, 200)), (Box(20, 30, 40, 50),), 2.0)
    assert picture.size == (100, 100)
    coloured = np.argwhere(np.asarray(wide).any(axis=2))
    assert coloured.min(axis=0).tolist() == [56, 36]
    assert coloured.max(axis=0).tolist() == [104, 84]
    assert not np.asarray(wide)[60:100, 40:80].any()


def test_overlay_colours_where_saliency_is_and_nowhere_else() -> None:
    grey = as_picture(np.full((50, 50), 0.5, dtype=np.float32))
    saliency = np.zeros((50, 50), dtype=np.float32)
    saliency[10:20, 10:20] = 3.0
    mixed = np.asarray(overlay(grey, saliency)).astype(int)
    assert (mixed[30:, 30:] == 128).all()
    assert np.ptp(mixed[15, 15]) > 50
    assert (np.asarray(overlay(grey, np.zeros_like(saliency))) == 128).all()


def test_close_up_shows_the_largest_region_before_and_after(make_example: Callable[..., Example]) -> None:
    picture = np.asarray(close_up(make_example())).astype(int)
    assert picture.shape == (484, 240, 3)
    assert picture[:240].max() == 255
    assert picture[244:].max() < 200


def test_figure_is_a_png_with_the_same_bytes_each_time(comparison: dict[str, Any]) -> None:
    address = comparison_figure(comparison)
    assert address == comparison_figure(comparison, LIGHT)
    assert address != comparison_figure(comparison, DARK)
    picture = opened(address)
    assert picture.format == "PNG"
    assert picture.width == 1650
    assert "Software" not in picture.info


def test_figure_survives_undefined_values(comparison: dict[str, Any]) -> None:
    nothing = {"mean": None, "low": None, "high": None, "by_seed": [None]}
    raw = {**comparison["conditions"]["raw"], "before": dict.fromkeys(METRICS, nothing)}
    assert comparison_figure({"conditions": {"raw": raw}}).startswith("data:image/png")
