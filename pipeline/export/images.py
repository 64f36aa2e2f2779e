"""One image of an export: what is known of it, and what is filled in it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.cleanse.holes import Holes
from pipeline.cleanse.normalise import BRIGHTNESS, neutral_marker
from pipeline.errors import InputError
from pipeline.export.fill_values import Mask, enlarged, repainted
from pipeline.fills import Fill, fill
from pipeline.randomness import torch_generator


@dataclass(frozen=True)
class PackedHoles:
    """Holes of one image over its stored content, see `pipeline.cleanse.holes`, small enough to keep all of a data set.

    Attributes:
        shape: (h, w).
        data: the compressed bytes.
    """

    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def of(cls, holes: Holes | None) -> PackedHoles | None:
        """`holes` packed; None where there are none."""
        return None if holes is None or not holes.any() else cls(holes.shape, zlib.compress(holes.tobytes(), 1))

    def unpacked(self) -> Holes:
        """The holes as they were."""
        return np.frombuffer(zlib.decompress(self.data), dtype=np.uint8).reshape(self.shape)


@dataclass(frozen=True)
class ExportImage:
    """One image to write.

    Attributes:
        image_id: of the images table, like the next four.
        path: relative to the data root.
        file_sha256: of the original file.
        width: original pixels.
        height: original pixels.
        png: its path in a PNG tree.
        holes: what is filled; None: nothing.
        fills: fill of each number in `holes`, the first of number 1.
        marker: whether the neutral marker is drawn.
        removed: how many detected regions of each kind the holes remove. Holes without any are decoys.
        cleared: nothing that may identify a person is left in the pixels, and a person and a second look of the
            detectors agreed (DICOM PS3.15 E.3.1).
    """

    image_id: str
    path: str
    file_sha256: str
    width: int
    height: int
    png: str
    holes: PackedHoles | None = None
    fills: tuple[str, ...] = ()
    marker: bool = False
    removed: tuple[tuple[str, int], ...] = ()
    cleared: bool = False

    @property
    def filled(self) -> bool:
        """Whether anything of it is filled."""
        return self.holes is not None

    @property
    def fills_used(self) -> tuple[str, ...]:
        """The fills that paint it."""
        return tuple(self.fills[number - 1] for number in np.unique(self._holes()) if number)

    @property
    def outcome(self) -> str:
        """What becomes of it: "changed" or "unchanged"."""
        return "changed" if self.filled or self.marker else "unchanged"

    def mask(self) -> Mask:
        """Pixels that change, (height, width)."""
        return (self._holes() > 0) | (self._marker() > 0)

    def repainted(self, values: NDArray[Any], how: Painting, **meaning: Any) -> NDArray[Any]:
        """`values` (height, width[, C]) of the original file with all holes filled, and the marker drawn.

        Args:
            values: integers, not modified.
            how: what the fills need.
            meaning: what the values mean, see `pipeline.export.fill_values.repainted`.

        Raises:
            InputError: the values have another size than the image had, or nothing is left to fill from.
        """
        if values.shape[:2] != (self.height, self.width):
            raise InputError(f"{self.path} decodes to {values.shape[:2]}, was ({self.height}, {self.width}).")
        if self.outcome == "unchanged":
            return values
        holes, marker = self._holes(), self._marker()

        def paint(image: Tensor) -> Tensor:
            result, where = image, torch.from_numpy(holes > 0)[None, None]
            # Every fill sees all holes at once: none may paint with what another one is to remove.
            for number in np.unique(holes[holes > 0]):
                generator = torch_generator(how.seed, "cleanse", self.image_id)
                painted = _fill(self.fills[number - 1], how.bundles)(image, where, generator)
                result = torch.where(torch.from_numpy(holes == number), painted, result)
            return result.lerp(torch.tensor(BRIGHTNESS), torch.from_numpy(marker)) if self.marker else result

        return repainted(values, holes > 0, marker > 0, paint, **meaning)

    def _holes(self) -> Holes:
        if self.holes is None:
            return np.zeros((self.height, self.width), dtype=np.uint8)
        return enlarged(self.holes.unpacked(), self.height, self.width)

    def _marker(self) -> NDArray[np.float32]:
        """Opacity of the neutral marker, (height, width)."""
        size = (self.height, self.width)
        return neutral_marker(size) if self.marker else np.zeros(size, dtype=np.float32)


@dataclass(frozen=True)
class Painting:
    """What fills need besides the picture: a seed for those that draw noise, and where their networks lie."""

    seed: int = 0
    bundles: Path | None = None


@cache
def _fill(name: str, bundles: Path | None) -> Fill:
    """Loaded once a process."""
    return fill(name, bundles)


class Refused(InputError):
    """One image that this format cannot hold; the others are written."""


@dataclass(frozen=True)
class Written:
    """What became of one image: "changed", "unchanged", "refused" (it cannot be written, `detail` says why) or
    "lost" (its original is gone or another one)."""

    path: str
    outcome: str
    detail: str = ""


def tally(results: Sequence[Written]) -> dict[str, int]:
    """How many images had each outcome."""
    counts: dict[str, int] = {}
    for result in results:
        counts[result.outcome] = counts.get(result.outcome, 0) + 1
    return dict(sorted(counts.items()))
