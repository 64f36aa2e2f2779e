"""Which marks a film carries and where: side markers, stamps, dates, day counts, panel letters, arrows.

All are drawn independently of the class but one, the tied mark. It is laid out last, so that nothing about the others
depends on it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from pipeline.ingest.synthetic.canvas import Plane
from pipeline.ingest.synthetic.lettering import Frame, Stamp, arrow, lettering
from pipeline.types import Box, RegionKind

SIDES = frozenset("LRDI")
POSITIONS = frozenset(
    {"PORTABLE", "AP", "PA", "SUPINE", "ERECT", "PORTATIL", "SEMI-ERECT", "SITTING", "MOBILE", "DECUBITUS", "UPRIGHT"}
)

Range = tuple[float, float]
Zone = tuple[Range, Range]
"""Where a mark's centre may lie: x and y as shares of the image side."""

_CORNERS: tuple[Zone, ...] = (
    ((0.12, 0.30), (0.03, 0.12)),
    ((0.70, 0.88), (0.03, 0.12)),
    ((0.12, 0.30), (0.88, 0.97)),
    ((0.70, 0.88), (0.88, 0.97)),
)
_ANYWHERE: Zone = ((0.0, 1.0), (0.0, 1.0))
_LEFT: Zone = ((0.06, 0.20), (0.05, 0.30))
_RIGHT: Zone = ((0.80, 0.94), (0.05, 0.30))
_PANEL: Zone = ((0.04, 0.09), (0.90, 0.96))
_LUNGS: Zone = ((0.20, 0.80), (0.30, 0.75))
_GAP = 3.0
"""Smallest distance between two marks, pixels."""


@dataclass(frozen=True)
class PlantedMark:
    """A mark and its true place: tight box of its ink in image pixels."""

    kind: RegionKind
    text: str
    box: Box


@dataclass(frozen=True)
class Habits:
    """How one hospital prints."""

    fonts: tuple[str, ...]
    frames: dict[Frame, float]
    """Of letters: how often each."""
    height: Range
    """Of a stamp's capitals, as a share of the image side."""
    sides: tuple[str, str]
    """Letters for the patient's right and left."""
    words: tuple[str, ...]


HABITS_A = Habits(
    ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf", "cmss10.ttf"),
    {"plain": 0.55, "box": 0.15, "circle": 0.15, "plate": 0.15},
    (0.030, 0.045),
    ("R", "L"),
    ("AP", "SUPINE", "ERECT", "CHEST", "UPRIGHT", "BOX 1"),
)
HABITS_B = Habits(
    ("DejaVuSerif.ttf", "STIXGeneral.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSerif-Italic.ttf"),
    {"plain": 0.5, "box": 0.05, "circle": 0.4, "plate": 0.05},
    (0.030, 0.048),
    ("D", "I"),
    ("AP", "SUPINO", "SEMI-SENTADO", "TORAX", "DECUBITUS"),
)


def kind_of(text: str) -> RegionKind:
    """What sort of mark a printed `text` is."""
    if text in SIDES:
        return "side"
    if text.upper() in POSITIONS:
        return "position"
    if re.fullmatch(r"[\d\s]+([/:.-][\d\s]+)+", text):
        return "date"
    if any(character.isdigit() for character in text):
        return "number"
    return "panel" if len(text) == 1 else "word"


class Printer:
    """Lays out the marks of one film, never one over another, then prints them."""

    def __init__(self, size: int, habits: Habits, rng: np.random.Generator) -> None:
        self._size, self._habits, self._rng = size, habits, rng
        self._laid: list[tuple[PlantedMark, Stamp]] = []

    @property
    def marks(self) -> tuple[PlantedMark, ...]:
        """What was laid out so far."""
        return tuple(mark for mark, _ in self._laid)

    def side_markers(self, tied: str) -> None:
        """A letter beside one shoulder or both, plain, boxed, circled or on a plate, often askew."""
        chance = self._rng.random()
        right, left = self._habits.sides
        for letter, zone, wanted in ((right, _LEFT, chance < 0.45), (left, _RIGHT, chance > 0.3)):
            if wanted and letter != tied:
                angle = float(self._rng.choice([0, self._rng.normal(0, 9), 90, -90], p=[0.5, 0.36, 0.07, 0.07]))
                stamp = self._letters(letter, self._rng.uniform(1.0, 1.5), angle)
                self._lay("side", letter, stamp, (zone,))

    def incidental(self, tied: str) -> None:
        """Marks that say nothing of the class: words, dates, day counts, panel letters, arrows."""
        rng = self._rng
        if rng.random() < 0.30:
            self._write(str(rng.choice([word for word in self._habits.words if word != tied])), 0.8, _CORNERS)
        if rng.random() < 0.25:
            self._write(self._date(), 0.7, _CORNERS)
        if rng.random() < 0.10:
            form = str(rng.choice(["DAY {}", "Day {}", "D{}", "{} h"]))
            self._write(form.format(rng.integers(1, 15)), 0.9, _CORNERS)
        if rng.random() < 0.10:
            letter = str(rng.choice([letter for letter in "ABCabc" if letter != tied]))
            self._lay("panel", letter, self._letters(letter, 1.4), (_PANEL,))
        if rng.random() < 0.08:
            stamp = arrow(rng.uniform(0.06, 0.11) * self._size, rng.uniform(0, 360))
            self._lay("arrow", "", stamp, (_LUNGS,))

    def tied(self, text: str) -> None:
        """The mark under study; it always finds a place, if need be that of an incidental one."""
        angle = float(self._rng.choice([0, 90], p=[0.94, 0.06]))
        stamp = self._letters(text, 1.0, angle)
        while not self._lay(kind_of(text), text, stamp, _CORNERS) and not self._lay(
            kind_of(text), text, stamp, (_ANYWHERE,)
        ):
            self._laid.pop()

    def print_on(self, image: Plane) -> Plane:
        """A copy of `image` (size, size) with the marks on it."""
        printed = image.copy()
        for mark, stamp in self._laid:
            x0, y0, x1, y1 = (int(value) for value in mark.box.as_tuple())
            self._ink(printed[y0:y1, x0:x1], stamp)
        return printed

    def _write(self, text: str, relative: float, zones: tuple[Zone, ...]) -> None:
        self._lay(kind_of(text), text, self._letters(text, relative), zones)

    def _date(self) -> str:
        rng = self._rng
        day, month, year = rng.integers(1, 29), rng.integers(1, 13), rng.integers(2018, 2023)
        hour, minute = rng.integers(0, 24), rng.integers(0, 60)
        forms = (f"{day:02d}/{month:02d}/{year}", f"{year}-{month:02d}-{day:02d}", f"{hour:02d}:{minute:02d}")
        return str(rng.choice([*forms, f"{day:02d}.{month:02d}.{year} {hour:02d}:{minute:02d}"]))

    def _letters(self, text: str, relative: float, angle: float = 0.0) -> Stamp:
        frames, shares = zip(*self._habits.frames.items(), strict=True)
        # A circle is for one letter; around a word it would be as large as a lung.
        frame: Frame = frames[int(self._rng.choice(len(frames), p=shares))] if len(text) == 1 else self._word_frame()
        height = self._rng.uniform(*self._habits.height) * relative * self._size
        stamp = lettering(text, str(self._rng.choice(self._habits.fonts)), height, frame)
        stamp = stamp.turned(angle) if angle else stamp
        return stamp.softened(max(0.3, self._rng.uniform(0.0008, 0.002) * self._size)).fitted(round(0.9 * self._size))

    def _word_frame(self) -> Frame:
        chance = self._rng.random()
        return "plain" if chance < 0.8 else "box" if chance < 0.9 else "plate"

    def _lay(self, kind: RegionKind, text: str, stamp: Stamp, zones: tuple[Zone, ...]) -> bool:
        """Find a free place for `stamp` with its centre in one of `zones`; whether there was one."""
        tall, wide = stamp.opacity.shape
        for _ in range(40):
            across, down = zones[int(self._rng.integers(len(zones)))]
            x0 = round(float(np.clip(self._rng.uniform(*across) * self._size - wide / 2, 2, self._size - wide - 2)))
            y0 = round(float(np.clip(self._rng.uniform(*down) * self._size - tall / 2, 2, self._size - tall - 2)))
            box = Box(x0, y0, x0 + wide, y0 + tall)
            if all(box.dilated(_GAP).intersection(mark.box) == 0 for mark in self.marks):
                self._laid.append((PlantedMark(kind, text, box), stamp))
                return True
        return False

    def _ink(self, under: Plane, stamp: Stamp) -> None:
        """Bright ink; on ground that is bright anyway dark, or bright on a dark plate of its own."""
        bright = float(under.mean()) <= 0.55
        value = self._rng.uniform(0.88, 1.0) if bright else self._rng.uniform(0.0, 0.12)
        ground = np.float32(1 - value)
        if float(under.std()) > 0.25:  # half on the body, half off it: legible only on a ground of its own
            stamp = Stamp(np.ones_like(stamp.opacity), stamp.opacity * stamp.tone)
        tone = ground + (np.float32(value) - ground) * stamp.tone
        under[:] = under * (1 - stamp.opacity) + tone * stamp.opacity
