"""What every fill keeps to, and how a painter of one plane becomes a fill of batches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Fill = Callable[[Tensor, Tensor, torch.Generator | None], Tensor]
"""(images (B, C, H, W) float32 in [0, 1], where (B, 1, H, W) bool, generator) -> images. Only fills that draw noise use
the generator; without one they draw the same noise every time."""

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]
Painter = Callable[[Plane, Mask], Plane]
"""Fills one channel (H, W) under a mask (H, W) that is neither empty nor full."""


def by_plane(painter: Painter) -> Fill:
    """A fill that gives each channel of each image with a hole to `painter`, on the CPU."""

    def apply(images: Tensor, where: Tensor, _: torch.Generator | None = None) -> Tensor:
        check(images, where)
        filled = images.clone()
        for index in with_holes(where):
            mask = where[index, 0].cpu().numpy()
            for channel in range(images.shape[1]):
                plane = painter(images[index, channel].detach().cpu().numpy(), mask)
                values = torch.from_numpy(plane).to(images)
                filled[index, channel] = torch.where(where[index, 0], values, images[index, channel])
        return filled

    return apply


def with_holes(where: Tensor) -> list[int]:
    """Numbers of the images of which something is to be filled."""
    return [int(index) for index in where.flatten(1).any(dim=1).nonzero().flatten().tolist()]


def check(images: Tensor, where: Tensor) -> None:
    """Refuse masks that do not belong to `images`.

    Raises:
        ValueError: a mask of another shape or type, or one that leaves nothing of an image.
    """
    batch, _, height, width = images.shape
    if where.shape != (batch, 1, height, width) or where.dtype != torch.bool:
        raise ValueError(
            f"images {tuple(images.shape)} need `where` ({batch}, 1, {height}, {width}) bool, "
            f"found {tuple(where.shape)} {where.dtype}"
        )
    full = where.flatten(1).all(dim=1).nonzero().flatten().tolist()
    if full:
        raise ValueError(f"`where` covers all of image {full[0]} of the batch: nothing is left to fill it from.")


def draw_seed(generator: torch.Generator | None) -> int:
    """A number from `generator`, 0 without one. All images of a call share it, so none depends on its neighbours."""
    if generator is None:
        return 0
    return int(torch.randint(2**62, (1,), generator=generator, device=generator.device).item())
