"""The part of an image that is enough to see what a change inside a patch does to the first layers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.explain.stem import Stem


@dataclass(frozen=True)
class Windows:
    """Equal windows around n equal patches.

    Attributes:
        corners: first row and column of each patch, int64 (n, 2).
        side: of the patches, pixels.
        origins: first row and column of each window, int64 (n, 2).
        size: (height, width) of the windows.
    """

    corners: Tensor
    side: int
    origins: Tensor
    size: tuple[int, int]

    def cut(self, images: Tensor, patch: Tensor) -> Tensor:
        """Window number ``patch`` (P,) of each of `images` (P, C, H, W): (P, C, *size)."""
        return images[self._places(patch)].permute(0, 3, 1, 2).contiguous()

    def paste(self, images: Tensor, windows: Tensor, patch: Tensor) -> Tensor:
        """Copies of `images` (P, C, H, W) with `windows` (P, C, *size) in their places."""
        pasted = images.clone()
        pasted[self._places(patch)] = windows.permute(0, 2, 3, 1)
        return pasted

    def inside(self, patch: Tensor) -> Tensor:
        """Bool (P, 1, *size): the pixels of the patch, in its window."""
        first = (self.corners - self.origins)[patch]
        rows, columns = (
            (line >= start[:, None]) & (line < start[:, None] + self.side)
            for line, start in zip(self._lines(), first.unbind(1), strict=True)
        )
        return rows[:, None, :, None] & columns[:, None, None, :]

    def _places(self, patch: Tensor) -> tuple[Tensor | slice, ...]:
        height, width = self._lines()
        top, left = self.origins[patch].unbind(1)
        which = torch.arange(len(patch), device=patch.device)
        return which[:, None, None], slice(None), (top[:, None] + height)[:, :, None], (left[:, None] + width)[:, None]

    def _lines(self) -> tuple[Tensor, Tensor]:
        height, width = (torch.arange(length, device=self.origins.device) for length in self.size)
        return height, width


def patch_grid(size: tuple[int, int], side: int, stride: int) -> Tensor:
    """Corners (n, 2) of square patches over an image of `size`; the last row and column end at its border."""
    lines = [sorted({*range(0, length - side + 1, stride), length - side}) for length in size]
    return torch.cartesian_prod(*(torch.tensor(line) for line in lines))


def find_windows(stem: Stem, image: Tensor, corners: Tensor, side: int) -> Windows:
    """Windows so wide that a layer's change inside them is its change in the whole image, at a fraction of the cost.

    Early layers see little of the image. How far is measured: one patch is filled with NaN, and what is NaN in the
    layer's output depends on it. A window is wider than its patch by twice that reach, so that every unit that sees
    the patch has the surroundings that it has in the image, and starts at a multiple of the layer's stride. If the
    layer sees everything, knows its input's size or puts out no feature map, the window is the whole image.

    Args:
        stem: the layers; the model must be frozen.
        image: network input (1, C, H, W).
        corners: first row and column of each patch, int64 (n, 2).
        side: of the patches, pixels.
    """
    size = torch.tensor(image.shape[2:], device=corners.device)
    middle = ((2 * corners + side - size) ** 2).sum(dim=1).argmin()[None]
    whole = Windows(corners, side, torch.zeros_like(corners), (image.shape[2], image.shape[3]))
    inside = whole.inside(middle)
    with torch.no_grad():
        touched = stem(torch.where(inside, torch.nan, image)).isnan()
        if touched.dim() != 4:
            return whole
        lines = (touched.any(dim=3).any(dim=1)[0], touched.any(dim=2).any(dim=1)[0])
        places = (image.shape[2:], corners[middle[0]].tolist(), corners.unbind(1))
        (top, height), (left, width) = (_axis(*each, side) for each in zip(lines, *places, strict=True))
        windows = Windows(corners, side, torch.stack([top, left], dim=1), (height, width))
        return windows if _same_change(stem, image, torch.where(inside, -image, image), windows, middle) else whole


def _same_change(stem: Stem, image: Tensor, changed: Tensor, windows: Windows, patch: Tensor) -> bool:
    """Whether a change of the patch does to the layer in its window what it does in the image."""
    try:
        parts = [stem(windows.cut(each, patch)) for each in (image, changed)]
    except RuntimeError:  # a layer that knows the size of its input
        return False
    near, far = ((b - a).double().abs() for a, b in (parts, (stem(image), stem(changed))))
    return torch.allclose(near.sum(), far.sum(), rtol=1e-3) and torch.allclose(near.amax(), far.amax(), rtol=1e-3)


def _axis(touched: Tensor, length: int, start: int, corners: Tensor, side: int) -> tuple[Tensor, int]:
    """Where the windows start on one axis (n,), and how long they are."""
    stride = length // len(touched)
    seen = touched.nonzero().flatten().tolist()
    if not seen or stride * len(touched) != length:
        return torch.zeros_like(corners), length
    reach = max(start - seen[0] * stride, (seen[-1] + 1) * stride - start - side, 0)
    # One stride more, because the start is rounded down.
    window = min(length, math.ceil((side + 4 * reach) / stride + 1) * stride)
    return ((corners - 2 * reach) // stride * stride).clamp(0, length - window), window
