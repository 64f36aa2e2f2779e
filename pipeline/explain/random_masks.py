"""Smooth masks from coarse grids at random offsets, as RISE makes them (Petsiuk, Das, Saenko, BMVC 2018).

The image is tiled by s x s cells of ceil(side / s) pixels. A grid of s x s values is enlarged bilinearly to s + 1
cells a side (skimage's ``resize`` with order 1, mode reflect, no anti-aliasing, in the authors' code), and the image's
size is cut out at an offset of 0 to one cell, so that no place always lies at a cell's border.

Enlarging and cutting work along each axis alone: the mask is ``R m C^T`` with one interpolation matrix an offset.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pipeline.errors import InputError


class GridMasks:
    """Enlarges grids to masks of one size.

    Attributes:
        grid: cells along each side, s.
        cell: height and width of a cell, pixels; offsets are 0 to these, exclusive.
    """

    def __init__(self, grid: int, like: Tensor) -> None:
        """For `grid` cells a side and masks of the height, width, type and device of `like` (B, C, H, W)."""
        height, width = like.shape[-2:]
        self.grid = grid
        self.cell = (math.ceil(height / grid), math.ceil(width / grid))
        self._rows, self._columns = (_windows(grid, side).to(like) for side in (height, width))

    def offsets(self, count: int, generator: torch.Generator) -> Tensor:
        """Offsets (count, 2) drawn uniformly, int64."""
        return torch.stack([torch.randint(side, (count,), generator=generator) for side in self.cell], dim=1)

    def masks(self, cells: Tensor, offsets: Tensor) -> Tensor:
        """Grids (n, s, s) at `offsets` (n, 2), enlarged: (n, 1, H, W)."""
        rows, columns = self._rows[offsets[:, 0]], self._columns[offsets[:, 1]]
        return (rows @ cells @ columns.mT)[:, None]

    def total(self, cells: Tensor, offsets: Tensor) -> Tensor:
        """Sum over n of the masks (1, H, W) that `masks` would make, without making them."""
        rows, columns = self._rows[offsets[:, 0]], self._columns[offsets[:, 1]]
        # One product over all grids at once: (H, n * s) times (n * s, W).
        return ((rows @ cells).transpose(0, 1).flatten(1) @ columns.mT.flatten(0, 1))[None]


def check_grid(grid: int, size: tuple[int, int]) -> int:
    """`grid`, if images of `size` (height, width) can have so many cells a side.

    Raises:
        InputError: they cannot.
    """
    if not 2 <= grid <= min(size):
        raise InputError(f"A grid for images of {size[0]} x {size[1]} has 2 to {min(size)} cells a side, not {grid}.")
    return grid


def _windows(grid: int, side: int) -> Tensor:
    """(offsets, side, grid): for each offset the weights that make `side` pixels of `grid` values."""
    cell = math.ceil(side / grid)
    pixels = (grid + 1) * cell
    place = (torch.arange(pixels, dtype=torch.float64) + 0.5) * grid / pixels - 0.5
    lower = place.floor()
    weights = torch.zeros(pixels, grid, dtype=torch.float64)
    for neighbour, share in ((lower, lower + 1 - place), (lower + 1, place - lower)):
        # Beyond the outermost cells the grid is mirrored without repeating them.
        inside = grid - 1 - (grid - 1 - neighbour.abs()).abs()
        weights.scatter_add_(1, inside.long()[:, None], share[:, None])
    return weights.unfold(0, side, 1).transpose(1, 2)[:cell]
