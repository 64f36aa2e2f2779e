"""Letters that text models miss: single, at any angle or mirrored, circled or boxed, with initials beside them.

Stroke candidates of either polarity are named by a small network; what it takes for letters is kept when it is sure,
when a circle or box stands around it, or when several of like size stand together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.flag.found import Grey8
from pipeline.flag.marks.letters import CLASSES, NONE, OTHER, letter_odds
from pipeline.flag.marks.plates import find_plate
from pipeline.flag.marks.strokes import CROP, SIDE, Corners, Stroke, find_strokes
from pipeline.types import Box

LIKELY = 0.5
"""Probability of being a letter at all from which a stroke is one, given neighbours or a frame."""
SURE = 0.8
"""The same, of one that counts alone."""
SURE_INSIDE = 0.97
"""The same for letters on the patient, where markers seldom stand."""
INSIDE = (0.25, 0.18)
"""Distance from the left and right, and from the upper and lower edge where that is, as shares of the image."""
TOGETHER = (0.6, 0.9)
"""The same, of the second surest and the surest of several."""
SAME = 0.6
"""IoU from which two strokes are cuts of the same ink."""
NAMED = 0.25
"""Probability of one letter, the likeliest, from which it is named."""
UNLIKELY = frozenset("fgh")
"""Panel letters so rare that a film shows chance shapes like them more often; they count in words only."""
FRAMED = 0.5
"""Confidence of a framed letter that could not be read."""


@dataclass(frozen=True)
class Letter:
    """One letter, or several that stand together.

    Attributes:
        box: in pixels of the image.
        text: which letter; None: unsure, one that means nothing alone, or several.
        confidence: in [0, 1].
        stroke: of a single letter, its ink.
    """

    box: Box
    text: str | None
    confidence: float
    stroke: Stroke | None = None
    count: int = 1


def detect_letters(image: Grey8) -> tuple[list[Letter], list[Letter], list[Box]]:
    """All letters on an image (H, W), the marks they make up, and the circles and boxes around letters.

    Returns:
        Every likely letter; those marks that need no other evidence (sure, framed or grouped); frames.
    """
    scale = SIDE / max(image.shape)
    scaled = _scaled(image, scale)
    strokes = find_strokes(scaled)
    letters = _likely(strokes, _agreed(strokes, letter_odds(strokes)))
    frames = [stroke.box for stroke in strokes if is_frame(stroke)]
    marks = [*_framed(letters, strokes, frames), *_groups(letters), *_alone(letters, scaled)]
    enlarged = [[replace(each, box=_times(each.box, 1 / scale)) for each in part] for part in (letters, marks)]
    return enlarged[0], enlarged[1], [_times(_box(frame), 1 / scale) for frame in frames]


def _scaled(image: Grey8, scale: float) -> Grey8:
    if scale == 1:
        return image
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=way), dtype=np.uint8)


def _box(corners: Corners) -> Box:
    return Box(*map(float, corners))


def _times(box: Box, factor: float) -> Box:
    return Box(*(value * factor for value in box.as_tuple()))


def _agreed(strokes: Sequence[Stroke], odds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean odds over the cuts of the same ink at several heights: chance shapes do not survive all of them."""
    boxes = np.array([stroke.box for stroke in strokes], dtype=np.float32).reshape(-1, 4)
    sides = boxes[:, 2:] - boxes[:, :2]
    low, high = np.maximum(boxes[:, None, :2], boxes[None, :, :2]), np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    area = np.prod(sides, axis=1)
    same = (shared > SAME * (area[:, None] + area[None] - shared)).astype(np.float32)
    return np.asarray(same @ odds / np.maximum(same.sum(axis=1, keepdims=True), 1), dtype=np.float32)


def _likely(strokes: Sequence[Stroke], odds: NDArray[np.float32]) -> list[Letter]:
    """Strokes that are rather letters than not, each place once, the likeliest first."""
    letters: list[Letter] = []
    any_letter = 1 - odds[:, CLASSES.index(NONE)]
    for place in np.argsort(-any_letter, kind="stable"):
        if any_letter[place] < LIKELY:
            break
        box, best = _box(strokes[place].box), 1 + int(odds[place, 1:].argmax())
        if all(box.intersection(other.box) <= 0.3 * min(box.area, other.box.area) for other in letters):
            named = odds[place, best] >= NAMED and CLASSES[best] != OTHER
            text = CLASSES[best] if named else None
            letters.append(Letter(box, text, float(any_letter[place]), strokes[place]))
    return letters


def _alone(letters: Sequence[Letter], image: Grey8) -> Iterator[Letter]:
    """Side and panel letters that are sure enough by themselves, with the plates they stand on."""
    for letter in letters:
        needed = SURE_INSIDE if _is_inside(letter.box, image) else SURE
        if letter.text not in {None, *UNLIKELY} and letter.confidence >= needed and letter.stroke is not None:
            plate = find_plate(image, letter.stroke)
            yield letter if plate is None else replace(letter, box=plate)


def _is_inside(box: Box, image: Grey8) -> bool:
    height, width = image.shape
    across, down = (box.x0 + box.x1) / 2 / width, (box.y0 + box.y1) / 2 / height
    return bool(min(across, 1 - across) > INSIDE[0] and min(down, 1 - down) > INSIDE[1])


def is_frame(stroke: Stroke) -> bool:
    """Whether a stroke is a thin, closed, roughly square outline: ink on all four sides, none in the middle."""
    x0, y0, x1, y1 = stroke.box
    if not (min(x1 - x0, y1 - y0) >= 18 and 0.75 <= (x1 - x0) / (y1 - y0) <= 1.33):
        return False
    ink = stroke.crop[1] > 0.3
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = ink.shape
    core = ink[height // 4 : -(height // 4), width // 4 : -(width // 4)]
    middle = [ink[: height // 3, width // 2], ink[-(height // 3) :, width // 2]]
    middle += [ink[height // 2, : width // 3], ink[height // 2, -(width // 3) :]]
    return bool(height >= CROP // 3 and ink.mean() < 0.55 and core.mean() < 0.1 and sum(m.any() for m in middle) >= 3)


def _framed(letters: Sequence[Letter], strokes: Sequence[Stroke], frames: Sequence[Corners]) -> list[Letter]:
    """The frame of every letter-like stroke that stands about the middle of one."""
    marks = []
    for frame in frames:
        inside = [letter for letter in letters if _inside(letter.box, _box(frame))]
        if inside:
            best = max(inside, key=lambda letter: letter.confidence)
            marks.append(Letter(_box(frame), best.text, max(best.confidence, FRAMED)))
        elif any(_inside(_box(stroke.box), _box(frame)) for stroke in strokes):
            marks.append(Letter(_box(frame), None, FRAMED))
    return marks


def _inside(box: Box, frame: Box) -> bool:
    """Whether `box` stands about the middle of `frame` and is a letter's share of its size."""
    within = box.x0 > frame.x0 and box.y0 > frame.y0 and box.x1 < frame.x1 and box.y1 < frame.y1
    share = max(box.width, box.height) / max(frame.width, frame.height)
    offset = max(abs(box.x0 + box.x1 - frame.x0 - frame.x1), abs(box.y0 + box.y1 - frame.y0 - frame.y1)) / 2
    return within and 0.25 <= share <= 0.85 and offset <= 0.2 * frame.width


def _groups(letters: Sequence[Letter]) -> list[Letter]:
    """Letters of like size that stand together, in any direction, as initials do on lead markers."""
    rest, groups = list(letters), []
    while rest:
        group = [rest.pop(0)]
        for member in group:
            near = [other for other in rest if _neighbours(member.box, other.box)]
            group += near
            rest = [other for other in rest if other not in near]
        second, sure = sorted([0.0, *(letter.confidence for letter in group)])[-2:]
        if second >= TOGETHER[0] and sure >= TOGETHER[1]:
            groups.append(Letter(_hull([letter.box for letter in group]), None, sure, count=len(group)))
    return groups


def _neighbours(left: Box, right: Box) -> bool:
    sizes = sorted((max(left.width, left.height), max(right.width, right.height)))
    gap_x = max(left.x0, right.x0) - min(left.x1, right.x1)
    gap_y = max(left.y0, right.y0) - min(left.y1, right.y1)
    return sizes[1] <= 1.5 * sizes[0] and max(gap_x, gap_y) <= 0.5 * sizes[0]


def _hull(boxes: Sequence[Box]) -> Box:
    return Box(
        min(box.x0 for box in boxes),
        min(box.y0 for box in boxes),
        max(box.x1 for box in boxes),
        max(box.y1 for box in boxes),
    )
