"""Which marks are planted on one image: kind by kind, size, polarity, rotation and background drawn for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from pipeline.benchmark.planting import Place, Planter, Polarity, planter
from pipeline.benchmark.planting.film import FILM
from pipeline.benchmark.planting.marks import MARK_KINDS

LONGEST = 768
"""Longer side to which images are brought before marks are planted, pixels; heights are meant at it."""
HEIGHTS = (8, 12, 16, 24, 32)
"""Heights of capitals, pixels; of the last up to 1.5 times as high."""
Background = Literal["corner", "margin", "anatomy"]
BACKGROUNDS: tuple[Background, ...] = get_args(Background)
ROTATIONS = ("0", "quarter", "other")
"""Upright, by quarters, or by 10 to 80 degrees to either side."""
_ROTATED = (0.55, 0.25, 0.20)
"""How often each of `ROTATIONS`."""
_LETTERS = 0.032
"""Usual height of capitals (share of the longer side) to which the usual extents of figures belong: an arrow is drawn
as much larger or smaller as letters beside it would be."""

COPIES: tuple[tuple[str, ...], ...] = (
    ("border", "side", "number"),
    ("corner", "position", "identifier"),
    ("device", "word", "date"),
    ("panel", "arrow", "ruler"),
)
"""Kinds planted together on one copy of an image, largest first."""
KINDS: tuple[str, ...] = tuple(kind for copy in COPIES for kind in copy)


@dataclass(frozen=True)
class Stratum:
    """How one mark is planted; null where it does not apply.

    Attributes:
        kind: planter and region kind.
        height: of capitals at `LONGEST` pixels, the lower end of its bin; None for bands and corners.
        polarity: bright or dark ink.
        rotation: of `ROTATIONS`; None for figures and bands.
        background: where; None for bands and corners.
    """

    kind: str
    height: int | None
    polarity: Polarity
    rotation: str | None
    background: Background | None

    @classmethod
    def draw(cls, kind: str, generator: np.random.Generator) -> Stratum:
        """One of the strata of `kind`."""
        height = HEIGHTS[int(generator.integers(len(HEIGHTS)))]
        polarity: Polarity = "bright" if generator.random() < 0.5 else "dark"
        rotation = str(generator.choice(ROTATIONS, p=_ROTATED))
        background = BACKGROUNDS[int(generator.integers(len(BACKGROUNDS)))]
        if kind in FILM:
            return cls(kind, None, polarity, None, None)
        if kind == "device":
            polarity = "bright"  # metal is dense
        if MARK_KINDS[kind].draw is not None:
            return cls(kind, height, polarity, None, background)
        return cls(kind, height, polarity, rotation, background)

    def planter(self, generator: np.random.Generator) -> Planter:
        """A planter for this stratum; exact height and angle are drawn."""
        place: Place = self.background or "random"
        if self.height is None:
            return planter(self.kind, polarity=self.polarity, place=place)
        size = self.height * (generator.uniform(1, 1.5) if self.height == HEIGHTS[-1] else 1) / LONGEST
        made = MARK_KINDS[self.kind]
        if made.draw is not None:
            size = min(made.size * size / _LETTERS, 0.6)
        return planter(self.kind, polarity=self.polarity, place=place, size=size, angle=self._angle(generator))

    def _angle(self, generator: np.random.Generator) -> float:
        quarter = 90.0 * int(generator.integers(1, 4))
        if self.rotation == "quarter":
            return quarter
        askew = float(generator.uniform(10, 80) * generator.choice((-1, 1)))
        return askew if self.rotation == "other" else 0.0
