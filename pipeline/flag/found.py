"""What a region detector is handed and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.types import Box, RegionKind

Grey8 = NDArray[np.uint8]
"""An image (H, W), 8 bits, bright = dense."""


@dataclass(frozen=True)
class Found:
    """One region in the pixels of the image the detector was given.

    Attributes:
        kind: see `RegionKind`.
        box: where.
        confidence: in [0, 1], larger = surer.
        method: what found it, e.g. ``glyph`` or ``border/padding``; kept with the region.
        text: what was read, only when it stands in the public vocabulary.
    """

    kind: RegionKind
    box: Box
    confidence: float
    method: str
    text: str | None = None


class Detector(Protocol):
    """Finds regions of some kinds on one image."""

    def __call__(self, image: Grey8, taken: Sequence[Found]) -> list[Found]:
        """Regions on `image`; `taken` holds what the detectors before it found, so that nothing is found twice."""
