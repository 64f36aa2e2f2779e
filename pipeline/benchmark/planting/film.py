"""Planters of what belongs to the film rather than to the patient: bands along a side, cut and masked corners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.benchmark.planting.planted import Image, Place, Planted, Polarity
from pipeline.benchmark.planting.press import grain_of
from pipeline.types import Box

BAND = 0.055
"""Usual thickness of a band, share of the longer side."""
CORNER = 0.13
"""Usual extent of a corner along its sides, share of the longer side."""
_TONE = {"bright": (0.9, 1.0), "dark": (0.0, 0.06)}
_TILT = 0.025
"""Largest slope of a shutter's edge."""

Opacity = NDArray[np.float32]
Draw = Callable[[tuple[int, int], float, np.random.Generator], Opacity]
"""Opacity of a band at the top, or of the top left corner, of an image of a given shape and of a given extent, pixels;
turned to the other sides and corners afterwards."""


@dataclass(frozen=True)
class FilmPlanter:
    """Plants one band, or one corner; always at the top (top left) when the place is fixed, else at any side."""

    name: str
    polarity: Polarity
    place: Place
    size: float | None

    @property
    def kind(self) -> str:
        """Kind of its marks."""
        return self.name

    def __call__(self, image: Image, generator: np.random.Generator) -> tuple[Image, Planted]:
        """Plant one band or corner; see `Planter`."""
        usual, drawings = _DRAWINGS[self.name]
        extent = (self.size or usual) * max(image.shape) * generator.uniform(0.85, 1.15)
        quarters = 0 if self.place == "fixed" else int(generator.integers(4))
        turned = np.rot90(image, -quarters)
        shape = (turned.shape[0], turned.shape[1])
        opacity = np.rot90(
            drawings[int(generator.integers(len(drawings)))](shape, max(extent, 2.0), generator), quarters
        )
        tone = np.float32(generator.uniform(*_TONE[self.polarity]))
        noisy = generator.random() < 0.5  # scanned with the film, or laid over it afterwards
        noise = generator.standard_normal(image.shape, dtype=np.float32)
        grain = np.float32(0.5 * grain_of(image) * noisy) * noise
        covered = np.clip(image * (1 - opacity) + (tone + grain) * opacity, 0, 1).astype(np.float32)
        return covered, Planted(self.kind, _box(opacity))


def _box(opacity: Opacity) -> Box:
    inked = opacity > 0.1
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    return Box(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


def _padding(shape: tuple[int, int], extent: float, generator: np.random.Generator) -> Opacity:
    """Rows of one value, as where an image was made square."""
    opacity = np.zeros(shape, dtype=np.float32)
    opacity[: round(extent)] = 1
    return opacity


def _collimation(shape: tuple[int, int], extent: float, generator: np.random.Generator) -> Opacity:
    """The shadow of a shutter: soft-edged, a little askew."""
    slope = generator.uniform(-_TILT, _TILT)
    ends = [(-9, -9), (shape[1] + 9, -9), (shape[1] + 9, extent * 1.2 + slope * shape[1]), (-9, extent * 1.2)]
    return _filled(shape, ends, softness=max(shape) / 500)


def _edge_line(shape: tuple[int, int], extent: float, generator: np.random.Generator) -> Opacity:
    """A thin line along the side, as the edge of a scanned film."""
    opacity = np.zeros(shape, dtype=np.float32)
    opacity[: max(2, round(extent / 8))] = 1
    return opacity


def _cut(shape: tuple[int, int], extent: float, generator: np.random.Generator) -> Opacity:
    """A corner cut straight, as by an eight-sided shutter."""
    lean = generator.uniform(0.8, 1.25)
    return _filled(shape, [(-9, -9), (extent * lean, -9), (-9, extent / lean)], softness=max(shape) / 700)


def _masked(shape: tuple[int, int], extent: float, generator: np.random.Generator) -> Opacity:
    """A rectangle over the corner, as where a name was blotted out."""
    opacity = np.zeros(shape, dtype=np.float32)
    opacity[: round(0.5 * extent), : round(extent * generator.uniform(1, 1.6))] = 1
    return opacity


def _tinted(shape: tuple[int, int], extent: float, generator: np.random.Generator) -> Opacity:
    """As `_masked`, but the picture shines through."""
    return _masked(shape, extent, generator) * np.float32(generator.uniform(0.5, 0.7))


def _filled(shape: tuple[int, int], outline: Sequence[tuple[float, float]], softness: float) -> Opacity:
    drawing = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(drawing, [np.round(np.array(outline) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(drawing.astype(np.float32) / 255, (0, 0), max(softness, 0.5))
    return np.asarray(np.clip(soft, 0, 1), dtype=np.float32)


_DRAWINGS: dict[str, tuple[float, tuple[Draw, ...]]] = {
    "border": (BAND, (_padding, _collimation, _edge_line)),
    "corner": (CORNER, (_cut, _masked, _tinted)),
}
FILM = tuple(_DRAWINGS)
"""Names of these planters."""
