"""Single letters, which text models miss: plain, circled or boxed, rotated or mirrored, bright or dark.

Candidates are small, isolated, sharp-edged, nearly uniform strokes, found by top-hat filtering in both polarities.
A candidate counts when the recogniser reads one letter on it in some orientation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.flag.found import Grey8
from pipeline.flag.marks.text import read_letters
from pipeline.flag.marks.vocabulary import PANELS, SIDES
from pipeline.types import Box

SIDE = 768
"""Longer side at which glyphs are sought, pixels; lengths below are in these pixels."""
STROKE = 19
"""Strokes thinner than this are kept by the top-hat."""
CONTRAST = 34
"""Grey levels by which a stroke differs from its ground."""
HEIGHTS = (9, 64)
LETTER = 0.85
"""Recogniser confidence from which a single letter counts."""
FRAMED_LETTER = 0.5
"""The same inside a circle or box, which is itself good evidence of a mark."""
MOST = 8
"""Candidates read per image, the most promising first."""
TURNED = 3
"""Of those that cannot be read upright, so many are tried in all other orientations."""
UPRIGHT_STROKES = {"l": "I", "1": "I", "|": "I", "!": "I"}
"""Readings of a circled I; outside a frame an upright stroke is no evidence."""

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Glyph:
    """A single letter: where, what (None: a framed letter that could not be read), how sure."""

    box: Box
    text: str | None
    confidence: float


@dataclass(frozen=True)
class _Candidate:
    box: tuple[int, int, int, int]
    bright: bool
    score: float
    frame: tuple[int, int, int, int] | None = None
    """Box of the circle or rectangle around it."""


def detect_glyphs(image: Grey8, taken: list[Box]) -> tuple[list[Glyph], list[Box]]:
    """Single letters on an 8-bit grey image (H, W), and the circles and boxes around letters, in its pixels.

    Args:
        image: bright = dense.
        taken: places already known to be text; not read again.
    """
    scale = min(1.0, SIDE / max(image.shape))
    small = image if scale == 1.0 else _shrunk(image, scale)
    known = [Box(*(value * scale for value in box.as_tuple())) for box in taken]
    every = [candidate for bright in (True, False) for candidate in _candidates(small, bright)]
    best = sorted((c for c in every if not _covered(c, known)), key=lambda c: (-c.score, c.box))[:MOST]
    glyphs = _read_upright_then_turned(small, best)
    frames = [Box(*map(float, candidate.frame)) for candidate in every if candidate.frame is not None]
    return [Glyph(_enlarged(g.box, scale), g.text, g.confidence) for g in glyphs], [_enlarged(f, scale) for f in frames]


def _shrunk(image: Grey8, scale: float) -> Grey8:
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _enlarged(box: Box, scale: float) -> Box:
    return Box(*(value / scale for value in box.as_tuple()))


def _covered(candidate: _Candidate, known: list[Box]) -> bool:
    box = Box(*map(float, candidate.box))
    return any(box.intersection(other) > 0.3 * box.area for other in known)


def _candidates(image: Grey8, bright: bool) -> Iterator[_Candidate]:
    """Components of the thresholded top-hat whose shape, contrast and surroundings fit a printed letter."""
    grey = image if bright else 255 - image
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (STROKE, STROKE))
    smooth = np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.6), dtype=np.uint8)
    hat = cv2.morphologyEx(smooth, cv2.MORPH_TOPHAT, kernel)
    _, found, stats, _ = cv2.connectedComponentsWithStats((hat > CONTRAST).astype(np.uint8), connectivity=8)
    labels = np.asarray(found, dtype=np.int32)
    slopes = (cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=0.25), cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=0.25))
    edges = np.asarray(cv2.magnitude(*slopes), dtype=np.float32)
    boxes = [(int(x), int(y), int(x + w), int(y + h)) for x, y, w, h, _ in stats]
    frames = [box for number, box in enumerate(boxes) if number and _is_frame(box, labels, number)]
    for number in range(1, len(stats)):
        x0, y0, x1, y1 = boxes[number]
        if not _letter_shaped(x1 - x0, y1 - y0, int(stats[number][cv2.CC_STAT_AREA])):
            continue
        frame = next((f for f in frames if f != boxes[number] and _inside(boxes[number], f)), None)
        score = _printed_score(labels[y0:y1, x0:x1] == number, smooth, edges, (x0, y0))
        if score > 0 or frame is not None:
            yield _Candidate(boxes[number], bright, score + (frame is not None), frame)


def _is_frame(box: tuple[int, int, int, int], labels: NDArray[np.int32], number: int) -> bool:
    """A thin, closed, roughly square outline: ink on all four sides and around, little inside."""
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    if not (min(width, height) >= 18 and max(width, height) <= 80 and 0.75 <= width / height <= 1.33):
        return False
    ink = labels[y0:y1, x0:x1] == number
    core = ink[height // 4 : -(height // 4), width // 4 : -(width // 4)]
    spokes = [ink[: height // 3, width // 2], ink[-(height // 3) :, width // 2], ink[height // 2, : width // 3]]
    spokes.append(ink[height // 2, -(width // 3) :])
    return bool(ink.mean() < 0.45 and core.mean() < 0.1 and sum(spoke.any() for spoke in spokes) >= 3)


def _inside(box: tuple[int, int, int, int], frame: tuple[int, int, int, int]) -> bool:
    """Whether `box` stands about the middle of `frame` and is a letter's share of its size."""
    within = box[0] > frame[0] and box[1] > frame[1] and box[2] < frame[2] and box[3] < frame[3]
    share = max(box[2] - box[0], box[3] - box[1]) / max(frame[2] - frame[0], frame[3] - frame[1])
    offset = max(abs(box[0] + box[2] - frame[0] - frame[2]), abs(box[1] + box[3] - frame[1] - frame[3])) / 2
    return within and 0.25 <= share <= 0.85 and offset <= 0.2 * (frame[2] - frame[0])


def _letter_shaped(width: int, height: int, area: int) -> bool:
    longest, shortest = max(width, height), min(width, height)
    return (
        HEIGHTS[0] <= longest <= HEIGHTS[1]
        and shortest >= 3
        and longest / shortest <= 6
        and 0.10 <= area / (width * height) <= 0.92
    )


def _printed_score(shape: NDArray[np.bool_], smooth: Grey8, edges: Plane, corner: tuple[int, int]) -> float:
    """How much a component looks printed: 0 is not at all. Sharp border, uniform ink, calm ground around it."""
    x, y = corner
    height, width = shape.shape
    margin = 5
    rows = slice(max(y - margin, 0), y + height + margin)
    columns = slice(max(x - margin, 0), x + width + margin)
    ink = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.uint8)
    ink[y - rows.start : y - rows.start + height, x - columns.start : x - columns.start + width] = shape
    window, slope = smooth[rows, columns].astype(np.float32), edges[rows, columns]
    ink = ink[: window.shape[0], : window.shape[1]]
    near = cv2.dilate(ink, np.ones((5, 5), np.uint8))
    ground = window[near == 0]
    if ground.size < 20:
        return 0.0
    contrast = abs(float(np.median(window[ink > 0])) - float(np.median(ground)))
    rim = cv2.morphologyEx(ink, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    sharp = float(np.median(slope[rim])) / max(contrast, 1.0)
    calm = float(ground.std()) / max(contrast, 1.0)
    if contrast < CONTRAST or sharp < 0.12 or calm > 0.55:
        return 0.0
    return contrast / 255 + sharp - calm


def _read_upright_then_turned(image: Grey8, candidates: list[_Candidate]) -> list[Glyph]:
    """Letters read as they stand, and, among the best of the others, rotated or mirrored. Framed ones count unread."""
    crops = [_crop(image, candidate) for candidate in candidates]
    upright = [_judge(c, [reading]) for c, reading in zip(candidates, read_letters(crops), strict=True)]
    glyphs = [glyph for glyph in upright if glyph is not None and glyph.text is not None]
    unread = [
        (c, crop) for c, crop, glyph in zip(candidates, crops, upright, strict=True) if not (glyph and glyph.text)
    ]
    for number, (candidate, crop) in enumerate(unread):
        turned = _judge(candidate, read_letters(_orientations(crop)[1:]) if number < TURNED else [])
        glyphs += [turned] if turned is not None else []
    return glyphs


def _judge(candidate: _Candidate, readings: list[tuple[str, float]]) -> Glyph | None:
    """The surest reading that is one letter of the vocabulary; a framed candidate counts without any."""
    box = Box(*map(float, candidate.frame or candidate.box))
    strokes = UPRIGHT_STROKES if candidate.frame is not None else {}
    letters = [(score, strokes.get(text.strip(), text.strip())) for text, score in readings]
    known = [(score, text) for score, text in letters if text in SIDES | PANELS]
    if known and max(known)[0] >= (LETTER if candidate.frame is None else FRAMED_LETTER):
        return Glyph(box, max(known)[1], max(known)[0])
    return None if candidate.frame is None else Glyph(box, None, FRAMED_LETTER)


def _crop(image: Grey8, candidate: _Candidate) -> Grey8:
    """The candidate with a margin, dark on bright."""
    x0, y0, x1, y1 = candidate.box
    grow = max(3, round((0.12 if candidate.frame else 0.3) * max(y1 - y0, x1 - x0)))
    crop = image[max(y0 - grow, 0) : y1 + grow, max(x0 - grow, 0) : x1 + grow].astype(np.float32)
    low, high = float(crop.min()), float(crop.max())
    stretched = np.rint((crop - low) * (255 / max(high - low, 1.0))).astype(np.uint8)
    return np.asarray(255 - stretched if candidate.bright else stretched, dtype=np.uint8)


def _orientations(crop: Grey8) -> list[Grey8]:
    """Upright first, then the three rotations, then the same mirrored."""
    return [np.ascontiguousarray(np.rot90(view, quarter)) for view in (crop, crop[:, ::-1]) for quarter in range(4)]
