"""Planters of traits that a whole image has: exposure, sharpness, resolution, compression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.benchmark.planting.planted import Image, Planted, Polarity

Change = Callable[[Image, Polarity, float, np.random.Generator], Image]
"""The image changed: towards bright or dark, by a share of the longer side."""


@dataclass(frozen=True)
class TraitPlanter:
    """Gives the whole image one trait; see `planting.planter`."""

    name: str
    polarity: Polarity
    size: float | None

    @property
    def kind(self) -> str:
        """Its own name: a trait is no region."""
        return self.name

    def __call__(self, image: Image, generator: np.random.Generator) -> tuple[Image, Planted]:
        """Change the image; see `Planter`."""
        change, usual = _CHANGES[self.name]
        extent = (self.size or usual or 0.0) * generator.uniform(0.9, 1.1)
        changed = np.clip(change(image, self.polarity, extent, generator), 0, 1).astype(np.float32)
        return changed, Planted(self.kind, None)


def _exposure(image: Image, polarity: Polarity, extent: float, generator: np.random.Generator) -> Image:
    """Gamma 0.6 to 0.7 (bright) or its inverse, and a shift of brightness."""
    gamma, shift = generator.uniform(0.6, 0.7), generator.uniform(0.02, 0.06)
    return np.asarray(image**gamma + shift if polarity == "bright" else image ** (1 / gamma) - shift)


def _sharpness(image: Image, polarity: Polarity, extent: float, generator: np.random.Generator) -> Image:
    """Gaussian blur; `extent` is its sigma."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(extent * max(image.shape), 0.5)))


def _resolution(image: Image, polarity: Polarity, extent: float, generator: np.random.Generator) -> Image:
    """Sampled down to pixels of `extent` and up again."""
    height, width = image.shape
    step = max(extent * max(image.shape), 1.3)
    coarse = (max(round(width / step), 2), max(round(height / step), 2))
    small = cv2.resize(image, coarse, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def _compression(image: Image, polarity: Polarity, extent: float, generator: np.random.Generator) -> Image:
    """JPEG at quality 8 to 15, whose 8 x 8 grid can be measured and is just visible."""
    quality = int(generator.integers(8, 16))
    eight = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", eight, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), dtype=np.float32) / np.float32(255)


_CHANGES: dict[str, tuple[Change, float | None]] = {
    "exposure": (_exposure, None),
    "sharpness": (_sharpness, 0.005),
    "resolution": (_resolution, 0.009),
    "compression": (_compression, None),
}
"""By name: how, and the usual extent as a share of the longer side; None: it has none."""
TRAITS = tuple(_CHANGES)
"""Names of these planters."""
SIZED_TRAITS = tuple(name for name, (_, usual) in _CHANGES.items() if usual)
"""Those that have an extent."""
