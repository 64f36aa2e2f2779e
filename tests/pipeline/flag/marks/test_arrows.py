"""Arrows drawn on a chest-like ground: found in every direction and style; letters, ribs and plain ground are none."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.flag.found import Found
from pipeline.flag.marks.arrows import find_arrows
from pipeline.types import Box

SIZE = 480
HEAD = np.array([(0, 0), (-20, 11), (-20, -11)], dtype=float)
ARROW = np.array([(0, 0), (-20, 12), (-20, 4), (-56, 4), (-56, -4), (-20, -4), (-20, -12)], dtype=float)
Grey = NDArray[np.uint8]


def ground() -> Grey:
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    ribs = 0.05 * np.cos(40 * (y + (x - 0.5) ** 2))
    return np.asarray(255 * (0.3 + 0.35 * np.exp(-((x - 0.5) ** 2 + (y - 0.6) ** 2) / 0.15) + ribs), dtype=np.uint8)


def pointing(shape: NDArray[np.float64], degrees: float, ink: int, rim: int | None = None) -> tuple[Grey, Box]:
    """The ground with `shape`, its tip turned to `degrees`, about the middle; and the box of its ink."""
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    points = (shape - shape.mean(axis=0)) @ turn + (200, 260)
    image = ground()
    pixels = [np.rint(points * 16).astype(np.int32)]
    cv2.fillPoly(image, pixels, ink, cv2.LINE_AA, shift=4)
    if rim is not None:
        cv2.polylines(image, pixels, True, rim, 2, cv2.LINE_AA, shift=4)
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return image, Box(float(x0), float(y0), float(x1), float(y1))


@pytest.mark.parametrize("degrees", [0, 45, 120, 180, 270, 335])
@pytest.mark.parametrize(("ink", "rim"), [(255, None), (0, None), (255, 0)])
@pytest.mark.parametrize("shape", [ARROW, HEAD * 2], ids=["arrow", "head"])
def test_finds_arrows_and_heads_in_every_direction(
    shape: NDArray[np.float64], ink: int, rim: int | None, degrees: float
) -> None:
    image, truth = pointing(shape, degrees, ink, rim)
    best = max(find_arrows(image, []), key=lambda found: found.box.iou(truth))
    assert best.box.iou(truth) >= 0.5
    assert (best.kind, best.method) == ("arrow", "arrow")
    assert 0.9 <= best.confidence <= 1


def test_finds_nothing_where_nothing_is_drawn() -> None:
    noise = np.clip(ground() + np.random.default_rng(0).normal(0, 8, (SIZE, SIZE)), 0, 255).astype(np.uint8)
    for image in (ground(), noise, np.zeros((SIZE, SIZE), np.uint8), np.full((40, 300), 255, np.uint8)):
        assert find_arrows(image, []) == []


def test_what_was_read_as_print_is_no_arrow_but_a_border_hides_none() -> None:
    image, truth = pointing(ARROW, 45, 255)
    assert find_arrows(image, [Found("side", truth, 0.9, "text", "L")]) == []
    assert len(find_arrows(image, [Found("border", truth, 0.9, "border")])) == 1


def test_boxes_follow_the_pixels_of_the_given_array() -> None:
    image, truth = pointing(ARROW, 30, 255)
    large = np.asarray(cv2.resize(image, (1920, 1920), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    (found,) = find_arrows(large, [])
    assert found.box.iou(Box(*(4 * value for value in truth.as_tuple()))) >= 0.5


def test_results_repeat_and_the_image_is_left_alone() -> None:
    image = pointing(ARROW, 210, 0)[0]
    before = image.copy()
    assert find_arrows(image, []) == find_arrows(image, [])
    assert np.array_equal(image, before)
