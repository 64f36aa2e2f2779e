"""What a planter is handed and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.ingest.synthetic.lettering import Frame
from pipeline.types import Box

Image = NDArray[np.float32]
"""An x-ray (H, W) in [0, 1], bright = dense."""

Polarity = Literal["bright", "dark"]
Place = Literal["fixed", "random", "corner", "margin", "anatomy"]
"""fixed: the planter's own zone, a few pixels of jitter; random: anywhere; corner: any of the four; margin: along an
edge, off the corners; anatomy: over the patient."""


@dataclass(frozen=True)
class Planted:
    """What was planted, the truth that detectors and audits are scored against.

    Attributes:
        kind: a `RegionKind`, or the name of an image-wide trait.
        box: all of its ink, its frame or plate included, in pixels of the image; None for image-wide traits.
        text: what was written; None where nothing was.
        frame: of a text: plain, box, circle or plate; a text also gets a plate where it could not be read on what lies
            under it. None for all else.
    """

    kind: str
    box: Box | None
    text: str | None = None
    frame: Frame | None = None


class Planter(Protocol):
    """Plants one mark or trait."""

    @property
    def name(self) -> str:
        """Its name in `PLANTERS`."""

    @property
    def kind(self) -> str:
        """`Planted.kind` of all it plants."""

    def __call__(self, image: Image, generator: np.random.Generator) -> tuple[Image, Planted]:
        """A copy of `image` with the mark on it, and the truth; `image` is left alone."""
