"""Letters drawn at any angle, mirrored, framed or with initials are found; shapes that are no letters are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.flag.found import Grey8
from pipeline.flag.marks.glyphs import detect_letters, is_frame
from pipeline.flag.marks.strokes import find_strokes
from pipeline.types import Box

SIDE = 768


def film() -> Grey8:
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    return np.asarray(40 + 120 * np.exp(-((x - 0.5) ** 2 + (y - 0.6) ** 2) / 0.15), dtype=np.uint8)


def lettered(text: str, angle: float, *, mirrored: bool = False, bright: bool = True) -> tuple[Grey8, Box]:
    """A film with `text` turned by `angle` degrees about (620, 120), and the box of its ink."""
    ink = np.zeros((SIDE, SIDE), np.uint8)
    cv2.putText(ink, text, (609, 132), cv2.FONT_HERSHEY_SIMPLEX, 1.3, 255, 4, cv2.LINE_AA)
    ink = np.asarray(cv2.warpAffine(ink, cv2.getRotationMatrix2D((620, 120), angle, 1), (SIDE, SIDE)))
    ink = ink[:, ::-1] if mirrored else ink
    rows, columns = np.nonzero(ink > 128)
    return _inked(film(), ink, 235 if bright else 5), Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def _inked(image: Grey8, ink: NDArray[np.uint8], value: int) -> Grey8:
    share = ink / 255
    return np.asarray(image * (1 - share) + value * share, dtype=np.uint8)


@pytest.mark.parametrize("angle", [0, 37, 90, 145, 180, 250, 320])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("letter", ["R", "L"])
def test_side_letters_at_any_angle(letter: str, mirrored: bool, angle: float) -> None:
    image, truth = lettered(letter, angle, mirrored=mirrored)
    _, marks, _ = detect_letters(image)
    assert [mark.text for mark in marks] == [letter]
    assert marks[0].box.iou(truth) > 0.6


def test_dark_letters_too() -> None:
    image, truth = lettered("R", 20, bright=False)
    _, marks, _ = detect_letters(image)
    assert [(mark.text, mark.box.iou(truth) > 0.6) for mark in marks] == [("R", True)]


def test_initials_are_one_mark() -> None:
    image, truth = lettered("MS", 50)
    _, marks, _ = detect_letters(image)
    together = [mark for mark in marks if mark.count == 2]
    assert len(together) == 1
    assert together[0].box.iou(truth) > 0.6


def test_a_circle_around_a_letter_is_part_of_the_mark() -> None:
    image = lettered("R", 0)[0]
    cv2.circle(image, (622, 118), 34, 235, 3, cv2.LINE_AA)
    _, marks, frames = detect_letters(image)
    ring = Box(587, 83, 658, 154)
    assert any(frame.iou(ring) > 0.8 for frame in frames)
    assert any(mark.text == "R" and mark.box.iou(ring) > 0.8 for mark in marks)


def test_a_letter_is_no_frame_and_a_ring_is_one() -> None:
    assert not any(is_frame(stroke) for stroke in find_strokes(lettered("R", 0)[0]))
    ring = film()
    cv2.circle(ring, (622, 118), 30, 235, 3, cv2.LINE_AA)
    assert any(is_frame(stroke) for stroke in find_strokes(ring))


@pytest.mark.parametrize("shape", ["ring", "line", "arrow", "disc", "cross", "nothing"])
def test_shapes_that_are_no_letters(shape: str) -> None:
    image = film()
    if shape == "ring":
        cv2.circle(image, (620, 120), 20, 235, 4, cv2.LINE_AA)
    elif shape == "line":
        cv2.line(image, (600, 90), (650, 150), 235, 4, cv2.LINE_AA)
    elif shape == "arrow":
        cv2.arrowedLine(image, (600, 90), (650, 150), 235, 4, cv2.LINE_AA, tipLength=0.4)
    elif shape == "disc":
        cv2.circle(image, (620, 120), 12, 235, -1, cv2.LINE_AA)
    elif shape == "cross":
        cv2.line(image, (600, 120), (640, 120), 235, 4, cv2.LINE_AA)
        cv2.line(image, (620, 100), (620, 140), 235, 4, cv2.LINE_AA)
    assert detect_letters(image)[1] == []
