"""Rulers and dashes drawn on plain ground: found whole; frames, grids of texture and text are none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.flag.found import Found
from pipeline.flag.marks.rulers import find_rulers
from pipeline.types import Box

Grey = NDArray[np.uint8]


def ground() -> Grey:
    return np.asarray(np.tile(np.linspace(60, 180, 640), (480, 1)), dtype=np.uint8)


def with_ruler(ink: int, pitch: int = 16, ticks: int = 20) -> tuple[Grey, Box]:
    """A level ruler with ticks 6 pixels high, every fifth 12, above its line."""
    image = ground()
    left, line = 100, 440
    image[line : line + 2, left : left + pitch * ticks + 2] = ink
    for number in range(ticks + 1):
        top = line - (12 if number % 5 == 0 else 6)
        image[top:line, left + pitch * number : left + pitch * number + 2] = ink
    return image, Box(left, line - 12, left + pitch * ticks + 2, line + 2)


@pytest.mark.parametrize("ink", [255, 0])
@pytest.mark.parametrize("upright", [False, True])
def test_finds_a_ruler_bright_or_dark_level_or_upright(ink: int, upright: bool) -> None:
    image, truth = with_ruler(ink)
    if upright:
        image, truth = np.ascontiguousarray(image.T), Box(truth.y0, truth.x0, truth.y1, truth.x1)
    (found,) = find_rulers(image, [])
    assert (found.kind, found.method) == ("ruler", "ruler/ticks")
    assert found.box.iou(truth) >= 0.6


@pytest.mark.parametrize(("length", "gap", "number"), [(5, 2, 3), (10, 5, 3), (8, 4, 6)])
def test_finds_a_row_of_dashes(length: int, gap: int, number: int) -> None:
    image = ground()
    for step in range(number):
        image[50:52, 300 + step * (length + gap) : 300 + step * (length + gap) + length] = 255
    (found,) = find_rulers(image, [])
    assert found.method == "ruler/dashes"
    assert found.box.iou(Box(300, 50, 300 + number * (length + gap) - gap, 52)) >= 0.4


def test_lines_frames_text_and_noise_are_no_rulers() -> None:
    frame, text = ground(), ground()
    cv2.rectangle(frame, (20, 20), (600, 460), 255, 2)
    cv2.putText(text, "PORTABLE AP", (60, 60), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 2)
    noise = np.clip(ground() + np.random.default_rng(0).normal(0, 12, (480, 640)), 0, 255).astype(np.uint8)
    for image in (ground(), frame, text, noise, np.zeros((32, 32), np.uint8)):
        assert find_rulers(image, []) == []


def test_irregular_ticks_are_no_ruler() -> None:
    image = ground()
    image[440:442, 100:420] = 255
    for x in (103, 109, 140, 149, 203, 240, 251, 330, 371, 407):
        image[432:440, x : x + 2] = 255
    assert find_rulers(image, []) == []


def test_what_was_read_as_print_is_no_ruler() -> None:
    image, truth = with_ruler(255)
    assert find_rulers(image, [Found("word", truth.dilated(4), 0.9, "text")]) == []


def test_boxes_follow_the_pixels_of_the_given_array() -> None:
    image, truth = with_ruler(255)
    large = np.asarray(cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    (found,) = find_rulers(large, [])
    assert found.box.iou(Box(*(3 * value for value in truth.as_tuple()))) >= 0.5
