"""What is asked of the benchmark, and the settings that the claims are tried under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.explain.metrics.robustness import REFERENCE_SIDE
from pipeline.explain.registry import BEST_FILL

PAIRS = (("sp", "sp-g"), ("lime", "lime-g"), ("mp", "mp-g"))
"""A method that removes by grey or blur, and its generative variant."""
FLOOR = ("random", "centre")
"""Maps that do not look at the classifier: what every method must beat."""
PATCHES = (29, 5, 53)
"""Sides of SP's patch at 224 pixels; the first, of the paper's figures, is the usual one."""
SEGMENTS = (50, 30, 70)
"""Superpixels of LIME; 50 is the authors' number, the others are ours."""
STARTS = (0, 1, 2)
"""Seeds of MP's random first mask."""


@dataclass(frozen=True)
class RemovalRequest:
    """What is asked.

    Attributes:
        dataset: folder of a data set version; None: generated images.
        classes: two of its classes, the positive one last; its own two when empty.
        sources: which of its sources; all when empty.
        images: at most so many of its images are marked, and learned from.
        explained: at most so many test images are explained.
        fill: what the generative variants paint with, see `pipeline.explain.removal`.
        network: architecture of the classifier.
        input_size: its side, pixels.
        epochs: it is trained.
        stride: of SP, pixels.
        samples: of LIME.
        iterations: of MP.
        queries: perturbed images of each method and image that are judged.
        seed: everything derives from it.
    """

    dataset: Path | None = None
    classes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    images: int = 400
    explained: int = 8
    fill: str = BEST_FILL
    network: str = "resnet18"
    input_size: int = 128
    epochs: int = 6
    stride: int = 8
    samples: int = 200
    iterations: int = 150
    queries: int = 16
    seed: int = 0

    def settings(self) -> Mapping[str, tuple[Mapping[str, Any], ...]]:
        """The options of every method, those of the comparison first; then the others it must be robust to.

        Plain and generative variant have the same ones but for the fill.

        Raises:
            InputError: pictures so small that patches of different sides become one.
        """
        scale = self.input_size / REFERENCE_SIDE
        patches = [max(1, round(patch * scale)) for patch in PATCHES]
        if len(set(patches)) < len(patches):
            raise InputError(f"At {self.input_size} pixels SP's patches are {patches}: take a larger --input-size.")
        plain: dict[str, tuple[dict[str, Any], ...]] = {
            "sp": tuple({"patch": patch, "stride": self.stride} for patch in patches),
            "lime": tuple({"segments": segments, "samples": self.samples} for segments in SEGMENTS),
            "mp": tuple({"seed": start, "iterations": self.iterations} for start in STARTS),
        }
        painted = {f"{name}-g": tuple({**each, "fill": self.fill} for each in plain[name]) for name in plain}
        trivial: dict[str, tuple[dict[str, Any], ...]] = {name: ({},) for name in FLOOR}
        return {
            name: ({**plain, **painted, **trivial})[name] for name in (*(n for pair in PAIRS for n in pair), *FLOOR)
        }
