"""Put a stamp on a film: where it can be read, with soft edges and the film's grain."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.benchmark.planting.planted import Image, Place, Polarity
from pipeline.ingest.synthetic.lettering import Stamp
from pipeline.types import Box

Point = tuple[float, float]

_INK = {"bright": (0.82, 1.0), "dark": (0.0, 0.12)}
_CONTRAST = 0.22
"""Grey levels (of 1) by which ink differs from what it lies on where a person reads it with ease."""
_LEGIBLE = 0.85
"""Share of a mark's ink that must have that contrast."""
_TRIES = 12
_EDGE = 2
"""Smallest distance to the edge, pixels."""


def ink_value(polarity: Polarity, generator: np.random.Generator) -> float:
    """Grey of the ink."""
    return float(generator.uniform(*_INK[polarity]))


def press(
    image: Image,
    stamp: Stamp,
    ink: float,
    *,
    plated: Stamp | None,
    place: Place,
    home: Point,
    generator: np.random.Generator,
) -> tuple[Image, Box, bool]:
    """Print `stamp` on a copy of `image`.

    Args:
        image: (H, W) in [0, 1].
        stamp: what to print; shrunk where it is larger than the image.
        ink: its grey in [0, 1].
        plated: printed in its stead where it could not be read on what lies under it; None: it is printed all the same.
        place: see `Place`; but for ``fixed``, a spot is looked for where the mark can be read.
        home: centre of the ``fixed`` zone, as shares of width and height.
        generator: draws spot and grain.

    Returns:
        The picture, the box of all ink, and whether `plated` was printed.
    """
    largest = min(image.shape) - 2 * _EDGE
    stamp = stamp.fitted(largest)
    x0, y0 = _spot(image, stamp, ink, place, home, generator)
    tall, wide = stamp.opacity.shape
    illegible = plated is not None and _legible(image, stamp, ink, x0, y0) < _LEGIBLE
    if plated is not None and illegible:
        centre = (x0 + wide / 2, y0 + tall / 2)
        stamp = plated.fitted(largest)
        tall, wide = stamp.opacity.shape
        x0, y0 = _corner_of(image, stamp, centre)
    result = image.copy()
    under = result[y0 : y0 + tall, x0 : x0 + wide]
    tone = (1 - ink) + (2 * ink - 1) * stamp.tone
    grain = grain_of(image) * generator.uniform(0.3, 1.0) * generator.standard_normal(under.shape)
    under[:] = np.clip(under * (1 - stamp.opacity) + (tone + grain) * stamp.opacity, 0, 1)
    return result, Box(x0, y0, x0 + wide, y0 + tall), illegible


def grain_of(image: Image) -> float:
    """Standard deviation of the film's noise in its middle: the median absolute Laplacian, which edges hardly move.

    Immerkaer, Computer Vision and Image Understanding 64(2), 1996, with a median in place of the mean.
    """
    height, width = image.shape
    middle = image[height // 4 : height - height // 4, width // 4 : width - width // 4]
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
    return float(np.median(np.abs(cv2.filter2D(middle, -1, mask)))) / (6 * 0.6745)


def _spot(
    image: Image, stamp: Stamp, ink: float, place: Place, home: Point, generator: np.random.Generator
) -> tuple[int, int]:
    """Top left corner: the first of a few in the zone where the mark can be read, else the best of them."""
    height, width = image.shape
    spots = []
    for _ in range(1 if place == "fixed" else _TRIES):
        x, y = _centre(place, home, generator)
        spot = _corner_of(image, stamp, (x * width, y * height))
        share = _legible(image, stamp, ink, *spot)
        if share >= _LEGIBLE:
            return spot
        spots.append((share, spot))
    return max(spots)[1]


def _centre(place: Place, home: Point, generator: np.random.Generator) -> Point:
    """Centre of the mark as shares of width and height."""
    if place == "fixed":
        x, y = np.clip(np.array(home) + generator.normal(0, 0.008, 2), 0, 1)
        return float(x), float(y)
    low, high = generator.uniform(0.02, 0.09), generator.uniform(0.25, 0.75)
    side = low if generator.random() < 0.5 else 1 - low
    if place == "corner":
        other = generator.uniform(0.04, 0.18)
        return (other if generator.random() < 0.5 else 1 - other), side
    if place == "margin":
        return (high, side) if generator.random() < 0.5 else (side, high)
    bounds = (0.22, 0.78) if place == "anatomy" else (0.0, 1.0)
    return float(generator.uniform(*bounds)), float(generator.uniform(*bounds))


def _corner_of(image: Image, stamp: Stamp, centre: Point) -> tuple[int, int]:
    """Top left corner of `stamp` with its `centre` there, moved to lie inside the image, pixels."""
    (height, width), (tall, wide) = image.shape, stamp.opacity.shape
    x0 = int(np.clip(round(centre[0] - wide / 2), _EDGE, max(width - wide - _EDGE, _EDGE)))
    y0 = int(np.clip(round(centre[1] - tall / 2), _EDGE, max(height - tall - _EDGE, _EDGE)))
    return x0, y0


def _legible(image: Image, stamp: Stamp, ink: float, x0: int, y0: int) -> float:
    """Share of the mark's ground, ink and gaps alike, that differs enough from the ink; 1 on a plate of its own."""
    tall, wide = stamp.opacity.shape
    if bool((stamp.tone[stamp.opacity > 0.5] < 0.5).any()):
        return 1.0
    under = image[y0 : y0 + tall, x0 : x0 + wide]
    return float((np.abs(under - ink) >= _CONTRAST).mean())
