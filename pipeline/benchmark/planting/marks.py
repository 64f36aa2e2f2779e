"""Planters of what is printed on, laid over or worn under the film: words, letters, dates, arrows, devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.benchmark.planting.ink import FONTS, TYPEFACES, arrow_of, device, on_plate, ruler, written
from pipeline.benchmark.planting.planted import Image, Place, Planted, Polarity
from pipeline.benchmark.planting.press import Point, ink_value, press
from pipeline.ingest.synthetic.lettering import Frame, Stamp
from pipeline.types import RegionKind

Draw = Callable[[float, np.random.Generator], Stamp]
"""A figure of a given size in pixels."""
Write = Callable[[np.random.Generator], str]
"""A text of its kind."""

_ASKEW = 0.35
"""Share of side markers that stand askew, as lead letters taped to the cassette do."""


@dataclass(frozen=True)
class MarkKind:
    """One kind of mark.

    Attributes:
        kind: what a detector should call it.
        size: usual height of its capitals, or extent of a figure, as a share of the image's longer side.
        home: centre of the zone where it always stands, as shares of width and height.
        write: its texts; None for figures.
        draw: its figure; None for texts.
        frames: chance of each frame, for single letters.
    """

    kind: RegionKind
    size: float
    home: Point
    write: Write | None = None
    draw: Draw | None = None
    frames: Mapping[Frame, float] | None = None


@dataclass(frozen=True)
class MarkPlanter:
    """Plants one mark of `made`; see `planting.planter` for the rest."""

    name: str
    made: MarkKind
    polarity: Polarity
    place: Place
    size: float | None
    text: str | None
    angle: float | None

    @property
    def kind(self) -> str:
        """Kind of its marks."""
        return self.made.kind

    def __call__(self, image: Image, generator: np.random.Generator) -> tuple[Image, Planted]:
        """Plant one mark; see `Planter`."""
        pixels = (self.size or self.made.size) * max(image.shape)
        text = self.text or (self.made.write(generator) if self.made.write else None)
        frame = self._frame(generator) if text else None
        stamp = self._letters(text, pixels, frame, generator) if text and frame else self._figure(pixels, generator)
        plated = on_plate(stamp, pixels) if frame == "plain" else None
        angle = self.angle if self.angle is not None else self._habit(generator)
        blur = _softness(pixels if text else pixels / 8, self.made.frames is not None, generator)
        printed, box, on_its_plate = press(
            image,
            _finished(stamp, angle, blur),
            ink_value(self.polarity, generator),
            plated=_finished(plated, angle, blur) if plated else None,
            place=self.place,
            home=self.made.home,
            generator=generator,
        )
        return printed, Planted(self.kind, box, text, "plate" if on_its_plate else frame)

    def _frame(self, generator: np.random.Generator) -> Frame:
        frames = self.made.frames or {"plain": 1.0}
        return list(frames)[int(generator.choice(len(frames), p=list(frames.values())))]

    def _letters(self, text: str, height: float, frame: Frame, generator: np.random.Generator) -> Stamp:
        fonts = FONTS if frame == "plain" else TYPEFACES
        return written(text, fonts[int(generator.integers(len(fonts)))], height, frame)

    def _figure(self, extent: float, generator: np.random.Generator) -> Stamp:
        draw = self.made.draw
        if draw is None:
            raise TypeError(f"the mark kind {self.made.kind!r} has neither a text nor a figure")
        return draw(extent, generator)

    def _habit(self, generator: np.random.Generator) -> float:
        askew = self.kind == "side" and generator.random() < _ASKEW
        return float(generator.normal(0, 8)) if askew else 0.0


def _finished(stamp: Stamp, angle: float, blur: float) -> Stamp:
    return (stamp.turned(angle) if angle else stamp).softened(blur)


def _softness(height: float, lead: bool, generator: np.random.Generator) -> float:
    """Blur in pixels: burned-in text is nearly crisp; lead letters and scanned prints have soft edges."""
    return float(np.clip(generator.uniform(0.02, 0.07 if lead else 0.045) * height, 0.35, 2.5))


def _one_of(*texts: str) -> Write:
    return lambda generator: texts[int(generator.integers(len(texts)))]


def _date(generator: np.random.Generator) -> str:
    day, month, year = generator.integers(1, 29), generator.integers(1, 13), generator.integers(2005, 2024)
    hour, minute = generator.integers(0, 24), generator.integers(0, 60)
    forms = (
        f"{day:02d}/{month:02d}/{year}",
        f"{year}-{month:02d}-{day:02d}",
        f"{day:02d}.{month:02d}.{year}",
        f"{day:02d}/{month:02d}/{year} {hour:02d}:{minute:02d}",
        f"{hour:02d}:{minute:02d}",
    )
    return forms[int(generator.integers(len(forms)))]


def _number(generator: np.random.Generator) -> str:
    days = generator.integers(1, 22)
    forms = (f"DAY {days}", f"Day {days}", f"DIA {days}", f"{days}", f"{days} cm")
    return forms[int(generator.integers(len(forms)))]


def _identifier(generator: np.random.Generator) -> str:
    """Made up: no such person or study."""
    first, last = (names[int(generator.integers(len(names)))] for names in (_FIRST, _LAST))
    number = generator.integers(10**6, 10**8)
    forms = (f"{last}, {first}", f"{last}^{first}", f"ID {number}", f"MRN: {number}", f"Acc: {number}")
    return forms[int(generator.integers(len(forms)))]


_FIRST = ("ALMA", "BRUNO", "CLARA", "DARIO", "ELSE", "FINN", "GRETA", "HUGO")
_LAST = ("EXAMPLO", "MUSTERFRAU", "SPECIMEN", "PLACEHOLDER", "TESTERSON", "FANTASIA")

MARK_KINDS: dict[str, MarkKind] = {
    "word": MarkKind("word", 0.032, (0.80, 0.05), _one_of("CHEST", "THORAX", "TORAX", "RADIOLOGY", "GRID", "Figure")),
    "position": MarkKind(
        "position",
        0.032,
        (0.80, 0.05),
        _one_of("PORTABLE", "AP", "SUPINE", "ERECT", "PORTATIL", "SUPINO", "SEMI-SENTADO", "AP ERECT", "UPRIGHT"),
    ),
    "side": MarkKind(
        "side",
        0.045,
        (0.08, 0.12),
        _one_of("L", "R", "L", "R", "D"),
        frames={"plain": 0.55, "circle": 0.2, "box": 0.15, "plate": 0.1},
    ),
    "panel": MarkKind("panel", 0.045, (0.06, 0.94), _one_of("A", "B", "C", "a", "b", "c")),
    "number": MarkKind("number", 0.032, (0.88, 0.94), _number),
    "date": MarkKind("date", 0.026, (0.16, 0.04), _date),
    "identifier": MarkKind("identifier", 0.026, (0.18, 0.04), _identifier),
    "arrow": MarkKind("arrow", 0.10, (0.32, 0.60), draw=arrow_of),
    "ruler": MarkKind("ruler", 0.28, (0.965, 0.55), draw=ruler),
    "device": MarkKind("device", 0.34, (0.66, 0.30), draw=device),
}
"""By planter name. Identifiers and names are made up."""
