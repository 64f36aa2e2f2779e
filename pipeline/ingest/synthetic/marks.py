"""Printed characters on a film: side markers, stamps, dates, day counts, panel letters, arrows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.ingest.synthetic.anatomy import Plane
from pipeline.types import Box, RegionKind

POSITIONS = frozenset({"PORTABLE", "AP", "PA", "SUPINE", "ERECT", "PORTATIL", "SEMI-ERECT", "SITTING", "MOBILE"})
INK = 0.2
"""Opacity from which a pixel counts as ink in the true box."""


@dataclass(frozen=True)
class PlantedMark:
    """A mark and its true place: tight box of its ink, image pixels."""

    kind: RegionKind
    text: str
    box: Box


@dataclass(frozen=True)
class Habits:
    """How one hospital prints."""

    fonts: tuple[str, ...]
    frames: tuple[str, ...]
    """Of side markers: none, box, circle."""
    size: tuple[float, float]
    """Character height as a share of the image side."""


SOURCE_A = Habits(
    ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf"), ("none", "none", "box", "circle"), (0.034, 0.052)
)
SOURCE_B = Habits(("DejaVuSerif.ttf", "STIXGeneral.ttf", "DejaVuSansMono-Bold.ttf"), ("none", "circle"), (0.038, 0.06))


class Printer:
    """Prints marks on one image, never one over another."""

    def __init__(self, image: Plane, habits: Habits, rng: np.random.Generator) -> None:
        self.image = image.copy()
        self.marks: list[PlantedMark] = []
        self._habits = habits
        self._rng = rng

    def side_marker(self) -> None:
        """L or R in the upper outer corner of that side, plain, boxed or circled, sometimes rotated."""
        letter = "L" if self._rng.random() < 0.7 else "R"
        frame = str(self._rng.choice(self._habits.frames))
        stamp = framed(self._text(letter, 1.25), frame)
        if self._rng.random() < 0.15:
            stamp = np.rot90(stamp).copy()
        self._place("side", letter, stamp, x=(0.80, 0.93) if letter == "L" else (0.07, 0.20), y=(0.06, 0.22))

    def stamp(self, text: str) -> None:
        """A word near a corner, sometimes in a box."""
        kind: RegionKind = "position" if text in POSITIONS else "word"
        drawn = framed(self._text(text, 0.9), "box" if self._rng.random() < 0.2 else "none")
        left = self._rng.random() < 0.5
        self._place(
            kind,
            text,
            drawn,
            x=(0.16, 0.26) if left else (0.74, 0.84),
            y=(0.04, 0.12) if self._rng.random() < 0.6 else (0.88, 0.95),
        )

    def incidental(self) -> None:
        """Marks that say nothing of the class: date, day count, panel letter, arrow."""
        if self._rng.random() < 0.25:
            day, month, year = self._rng.integers(1, 29), self._rng.integers(1, 13), self._rng.integers(2018, 2023)
            self._place(
                "date",
                f"{day:02d}/{month:02d}/{year}",
                self._text(f"{day:02d}/{month:02d}/{year}", 0.7),
                (0.15, 0.85),
                (0.93, 0.97),
            )
        if self._rng.random() < 0.08:
            text = f"DAY {self._rng.integers(1, 15)}"
            self._place("number", text, self._text(text, 0.9), (0.15, 0.85), (0.04, 0.09))
        if self._rng.random() < 0.08:
            letter = str(self._rng.choice(list("ABCab")))
            self._place("panel", letter, self._text(letter, 1.4), (0.05, 0.09), (0.90, 0.95))
        if self._rng.random() < 0.06:
            self._place("arrow", "", self._arrow(), (0.25, 0.75), (0.3, 0.75))

    def _text(self, text: str, relative: float) -> Plane:
        height = self._rng.uniform(*self._habits.size) * relative * self.image.shape[0]
        return lettering(text, str(self._rng.choice(self._habits.fonts)), max(round(height * 1.35), 9))

    def _arrow(self) -> Plane:
        side = round(self.image.shape[0] * 0.09)
        canvas = np.zeros((side, side), dtype=np.float32)
        angle = self._rng.uniform(0, 2 * np.pi)
        reach = 0.4 * side * np.array([np.cos(angle), np.sin(angle)])
        start, end = side / 2 - reach, side / 2 + reach
        points = [tuple(int(value) for value in np.round(point)) for point in (start, end)]
        cv2.arrowedLine(canvas, points[0], points[1], 1.0, max(2, side // 14), cv2.LINE_AA, tipLength=0.4)
        return canvas

    def _place(self, kind: RegionKind, text: str, stamp: Plane, x: tuple[float, float], y: tuple[float, float]) -> None:
        """Composite `stamp` (opacity in [0, 1]) with its centre in the given ranges; gives up where all is taken."""
        size = self.image.shape[0]
        ink = np.asarray(cv2.GaussianBlur(np.pad(stamp, 2), (0, 0), 0.5), dtype=np.float32)
        for _ in range(12):
            left = round(self._rng.uniform(*x) * size - ink.shape[1] / 2)
            top = round(self._rng.uniform(*y) * size - ink.shape[0] / 2)
            left = int(np.clip(left, 1, size - ink.shape[1] - 1))
            top = int(np.clip(top, 1, size - ink.shape[0] - 1))
            box = _tight(ink, left, top)
            if all(box.dilated(3).intersection(mark.box) == 0 for mark in self.marks):
                self._print(ink, left, top)
                self.marks.append(PlantedMark(kind, text, box))
                return

    def _print(self, ink: Plane, left: int, top: int) -> None:
        """Bright ink, or dark on ground that is bright anyway."""
        under = self.image[top : top + ink.shape[0], left : left + ink.shape[1]]
        value = 0.02 if float(under.mean()) > 0.72 else self._rng.uniform(0.9, 1.0)
        under[:] = under * (1 - ink) + value * ink


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", name)), size)


def lettering(text: str, font: str, size: int) -> Plane:
    """`text` as opacity in [0, 1], tightly cropped; `font` is a file of matplotlib's."""
    left, top, right, bottom = (round(value) for value in _font(font, size).getbbox(text))
    canvas = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(canvas).text((-left, -top), text, fill=255, font=_font(font, size))
    return np.asarray(canvas, dtype=np.float32) / np.float32(255)


def framed(stamp: Plane, frame: str) -> Plane:
    """`stamp` in a thin box or circle, or as it is ("none")."""
    if frame == "none":
        return stamp
    height, width = stamp.shape
    margin = max(3, round(0.3 * height))
    if frame == "circle":
        side = round(1.15 * float(np.hypot(height, width))) + 4
        tall, wide = (side - height) // 2, (side - width) // 2
        canvas = np.pad(stamp, ((tall, side - height - tall), (wide, side - width - wide)))
        cv2.circle(canvas, (side // 2, side // 2), side // 2 - 1, 1.0, max(1, height // 12), cv2.LINE_AA)
        return canvas
    canvas = np.pad(stamp, margin)
    cv2.rectangle(canvas, (0, 0), (canvas.shape[1] - 1, canvas.shape[0] - 1), 1.0, max(1, height // 12))
    return canvas


def _tight(ink: NDArray[np.float32], left: int, top: int) -> Box:
    rows, columns = np.flatnonzero((ink > INK).any(axis=1)), np.flatnonzero((ink > INK).any(axis=0))
    return Box(float(left + columns[0]), float(top + rows[0]), float(left + columns[-1] + 1), float(top + rows[-1] + 1))
