"""Masked, tinted, cut and rounded corners on the ground of the border tests; shoulders and air are not corners."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.flag.film.corners import find_corners
from pipeline.flag.found import Found
from pipeline.types import Box

SIZE = 400
Image = NDArray[np.uint8]


def ground() -> Image:
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    grey = 255 * (0.25 + 0.4 * np.exp(-((x - 0.5) ** 2 + (y - 0.6) ** 2) / 0.2))
    return np.clip(grey + np.random.default_rng(0).normal(0, 1.5, grey.shape), 0, 255).astype(np.uint8)


def turned(image: Image, corner: str) -> Image:
    """A view in which `corner` (tl, tr, bl, br) is top left."""
    return image[:: -1 if corner[0] == "b" else 1, :: -1 if corner[1] == "r" else 1]


def corner_box(corner: str, height: float, width: float) -> Box:
    y, x = SIZE - height if corner[0] == "b" else 0, SIZE - width if corner[1] == "r" else 0
    return Box(x, y, x + width, y + height)


def only(found: list[Found]) -> Found:
    assert len(found) == 1, found
    assert found[0].kind == "corner"
    return found[0]


CORNERS = ("tl", "tr", "bl", "br")


def test_a_picture_with_all_its_corners() -> None:
    assert find_corners(ground(), []) == []


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("value", [0, 255])
def test_a_masked_corner(corner: str, value: int) -> None:
    image = ground()
    turned(image, corner)[:40, :70] = value
    assert only(find_corners(image, [])).box.iou(corner_box(corner, 40, 70)) >= 0.9


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("shade", [-25, 25])
def test_a_tinted_corner_still_shows_the_picture(corner: str, shade: int) -> None:
    image = ground()
    view = turned(image, corner)[:60, :45]
    view[:] = view.astype(int) + shade
    found = only(find_corners(image, []))
    assert found.method == "corner/patch"
    assert found.box.iou(corner_box(corner, 60, 45)) >= 0.9


@pytest.mark.parametrize("corner", CORNERS)
def test_a_corner_cut_off_along_a_chord(corner: str) -> None:
    image = ground()
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    turned(image, corner)[y / 60 + x / 90 < 1] = 0
    found = only(find_corners(image, []))
    assert found.method == "corner/cut"
    assert found.box.iou(corner_box(corner, 60, 90)) >= 0.85


def test_four_rounded_corners() -> None:
    image = ground()
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    for corner in CORNERS:
        turned(image, corner)[(x < 80) & (y < 80) & (np.hypot(x - 80, y - 80) > 80)] = 255
    found = find_corners(image, [])
    assert len(found) == 4
    for corner in CORNERS:
        assert max(each.box.iou(corner_box(corner, 80, 80)) for each in found) >= 0.85


def test_corners_are_looked_for_inside_the_borders() -> None:
    image = ground()
    image[:30] = 0
    image[30:70, :60] = 255
    padding = Found("border", Box(0, 0, SIZE, 30), 1.0, "border/padding")
    assert only(find_corners(image, [padding])).box.iou(Box(0, 30, 60, 70)) >= 0.9


def test_dark_air_above_a_shoulder_is_not_a_corner() -> None:
    air = np.ones((SIZE, SIZE), np.float32)
    cv2.fillPoly(air, [np.array([(0, 0), (110, 0), (90, 40), (40, 70), (0, 90)], np.int32)], 0)
    image = 6 + ground() * cv2.GaussianBlur(air, (0, 0), 4)
    assert find_corners(np.clip(image, 0, 255).astype(np.uint8), []) == []
