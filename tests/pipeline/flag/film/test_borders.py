"""Bands and frames drawn around a smooth chest-like ground: found where they are; air and gradients are not borders."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.flag.film.borders import find_borders
from pipeline.flag.found import Found
from pipeline.types import Box

HEIGHT, WIDTH = 420, 360
Image = NDArray[np.uint8]


def ground() -> Image:
    """A torso with shoulders and neck before dark air, lungs, a bright abdomen; a little noise, as a JPEG has."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    body = np.zeros((HEIGHT, WIDTH), np.uint8)
    outline = [(150, 0), (150, 50), (40, 95), (25, 420), (335, 420), (320, 95), (210, 50), (210, 0)]
    cv2.fillPoly(body, [np.array(outline, np.int32)], 1)
    soft = cv2.GaussianBlur(body.astype(np.float32), (0, 0), 4)
    lungs = sum(np.exp(-(((x - cx) / 48) ** 2) - ((y - 210) / 90) ** 2) for cx in (115, 245))
    grey = 12 + soft * (150 + 50 * y / HEIGHT - 95 * lungs)
    noise = np.random.default_rng(0).normal(0, 1.5, grey.shape)
    return np.clip(grey + noise, 0, 255).astype(np.uint8)


def seen_from(image: Image, side: str) -> Image:
    """A view in which `side` is on top; writing to it writes to `image`."""
    return {"top": image, "bottom": image[::-1], "left": image.T, "right": image.T[::-1]}[side]


def band_box(side: str, first: float, last: float) -> Box:
    return {
        "top": Box(0, first, WIDTH, last),
        "bottom": Box(0, HEIGHT - last, WIDTH, HEIGHT - first),
        "left": Box(first, 0, last, HEIGHT),
        "right": Box(WIDTH - last, 0, WIDTH - first, HEIGHT),
    }[side]


def only(found: list[Found]) -> Found:
    assert len(found) == 1, found
    return found[0]


SIDES = ("top", "bottom", "left", "right")


def test_a_picture_without_borders_has_none() -> None:
    assert find_borders(ground(), []) == []


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("depth", [6, 50])
def test_padding_of_any_value_and_width(side: str, value: int, depth: int) -> None:
    image = ground()
    seen_from(image, side)[:depth] = value
    found = only(find_borders(image, []))
    assert found.kind == "border"
    assert found.method == "border/padding"
    assert found.box.iou(band_box(side, 0, depth)) >= 0.8


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("slope", [-0.03, 0.02])
def test_a_tilted_shutter_is_collimation(side: str, slope: float) -> None:
    image = ground()
    view = seen_from(image, side)
    y, x = np.mgrid[0 : view.shape[0], 0 : view.shape[1]]
    edge = 30 + slope * (x - view.shape[1] / 2)
    shutter = y < edge
    view[:] = np.maximum(view, 30)
    view[shutter] = (8 + 6 * x / view.shape[1])[shutter]
    found = only(find_borders(image, []))
    assert found.method == "border/collimation"
    assert found.box.iou(band_box(side, 0, edge.max())) >= 0.85


@pytest.mark.parametrize("side", SIDES)
def test_a_drawn_line_is_a_frame(side: str) -> None:
    image = ground()
    seen_from(image, side)[14:17] = 255
    found = only([each for each in find_borders(image, []) if each.method == "border/frame"])
    assert found.box.iou(band_box(side, 14, 17)) >= 0.6


def test_all_four_sides_of_a_letterbox() -> None:
    image = ground()
    for side in SIDES:
        seen_from(image, side)[:20] = 0
    found = find_borders(image, [])
    assert sorted(each.box.as_tuple() for each in found) == sorted(band_box(side, 0, 20).as_tuple() for side in SIDES)


def test_print_on_padding_does_not_hide_it() -> None:
    image = ground()
    image[:40] = 0
    cv2.putText(image, "AP", (20, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
    assert only(find_borders(image, [])).box.iou(band_box("top", 0, 40)) >= 0.9


def test_a_line_of_print_on_black_air_is_not_the_end_of_padding() -> None:
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[HEIGHT // 2 :] = ground()[HEIGHT // 2 :]
    cv2.putText(image, "PORTABLE SUPINE", (20, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.1, 255, 3)
    assert [each for each in find_borders(image, []) if each.box.y1 <= 70] == []


def test_a_slow_fall_of_exposure_is_not_a_border() -> None:
    fall = np.clip(np.arange(HEIGHT) / 60, 0.3, 1)[:, None]
    assert find_borders((ground() * fall).astype(np.uint8), []) == []


def test_a_seam_of_resampling_is_not_a_border() -> None:
    image = ground()
    image[-1] = image[-1] * 0.6
    assert find_borders(image, []) == []


@pytest.mark.parametrize("shape", [(32, 32), (40, 700), (700, 40)])
def test_any_shape_is_taken(shape: tuple[int, int]) -> None:
    assert find_borders(np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8), []) == []
    assert all(each.box.clipped(*shape[::-1]) == each.box for each in find_borders(np.zeros(shape, np.uint8), []))
