"""Painting over holes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from pipeline.cleanse.holes import Holes
from pipeline.cleanse.masks import content_window
from pipeline.cleanse.plan import Plan
from pipeline.errors import InputError
from pipeline.fills import fill
from pipeline.randomness import torch_generator


class Filling:
    """Fills the holes of stored images as a plan says."""

    def __init__(self, plan: Plan, purpose: str, seed: int, bundles: Path | None = None, device: str = "cpu") -> None:
        """Load the fills of `plan`.

        Args:
            plan: names the fills.
            purpose: with `seed` and the image's id, seeds fills that draw noise: the same in any order or batch.
            seed: see `purpose`.
            bundles: see `pipeline.fills.fill`.
            device: where networks run.

        Raises:
            InputError: a fill that is not there.
        """
        self._fills = [fill(name, bundles) for name in plan.fills]
        self._purpose, self._seed, self._device = purpose, seed, device

    def __call__(self, images: Tensor, table: pd.DataFrame, of: Sequence[Holes | None]) -> Tensor:
        """Stored images (n, 1, S, S) in [0, 1], rows of the images table, and their holes -> filled images.

        Every fill sees all holes of an image at once: none may paint with what another one is to remove.

        Raises:
            InputError: the holes of an image leave nothing of it.
        """
        filled = images.clone()
        for number, (record, holes) in enumerate(zip(table.to_dict("records"), of, strict=True)):
            if holes is None or not holes.any():
                continue
            if holes.all():
                raise InputError(
                    f"The regions to remove cover all of image {record['image_id']} ({record['path']}). "
                    "Reject the finding, lower `cleanse.dilation`, or exclude the image in the manifest."
                )
            window = (number, slice(None), *content_window(record))
            filled[window] = self._filled(images[window], torch.from_numpy(holes), str(record["image_id"]))
        return filled

    def _filled(self, content: Tensor, holes: Tensor, image_id: str) -> Tensor:
        result, where = content, (holes > 0)[None, None]
        for number, paint in enumerate(self._fills, start=1):
            own = holes == number
            if own.any():
                generator = torch_generator(self._seed, self._purpose, image_id)
                painted = paint(content[None].to(self._device), where.to(self._device), generator)[0].cpu()
                result = torch.where(own, painted, result)
        return result
