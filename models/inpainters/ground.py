"""What stands around a hole, carried into it: a smooth picture and the local strength of its texture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

WINDOW = 9
"""Side of the neighbourhood that parts smooth from detail, pixels."""
RELAXATIONS = 8
"""Rounds in which what is unknown becomes the mean of its neighbours, at each size."""
FLOOR = 1 / 255
"""Smallest spread: where the surroundings are flat, one grey level of an 8-bit picture counts as texture."""
TO_DEVIATION = 1.887
"""Standard deviation of normal noise over the geometric mean of its absolute value, exp((ln 2 + 0.5772) / 2)."""


def smooth_fill(values: Tensor, known: Tensor) -> Tensor:
    """Values (B, C, H, W) where `known` (B, 1, H, W, 0 or 1) is 1, and a smooth continuation of them elsewhere.

    Pull-push: averages of the known pixels are taken over ever larger squares, then handed back down to where nothing
    finer is known (Gortler, Grzeszczuk, Szeliski and Cohen, The Lumigraph, SIGGRAPH 1996, section 3.4), and relaxed on
    the way towards the membrane that meets the known pixels without a step. Where nothing at all is known it is 0.
    """
    total, weight = values * known, known
    levels = []
    while max(total.shape[-2:]) > 1:
        levels.append((total, weight))
        total, weight = (functional.avg_pool2d(part, 2, ceil_mode=True) for part in (total, weight))
    filled = total / weight.clamp(min=torch.finfo(weight.dtype).tiny)
    for total, weight in reversed(levels):
        filled = functional.interpolate(filled, total.shape[-2:], mode="bilinear", align_corners=False)
        for _ in range(RELAXATIONS):
            filled = total + (1 - weight) * _mean(filled, 3)
    return filled


@dataclass(frozen=True)
class Ground:
    """The surroundings of a hole as the network sees them; nothing under the hole has gone into any of it.

    In units of `spread` bones and burnt-in black look alike, so one small network serves every exposure.

    Attributes:
        filled: the picture, the hole smoothly filled; (B, 1, H, W) as all others.
        smooth: its running mean.
        spread: strength of the texture around each pixel, smoothly carried into the hole, at least `FLOOR`. It is the
            standard deviation of picture - smooth were that normal, taken from the geometric mean, which an edge or
            a lead that crosses the neighbourhood hardly changes: grain as strong as an edge would fill the hole.
    """

    filled: Tensor
    smooth: Tensor
    spread: Tensor

    @classmethod
    def around(cls, images: Tensor, hole: Tensor) -> Ground:
        """The ground of images float32 (B, 1, H, W) in [0, 1] with a `hole` (B, 1, H, W) bool."""
        known = (~hole).to(images.dtype)
        filled = smooth_fill(images.masked_fill(hole, 0), known)
        smooth = _mean(filled, WINDOW)
        strength = smooth_fill((filled - smooth).abs().clamp(min=FLOOR / TO_DEVIATION).log(), known)
        return cls(filled, smooth, TO_DEVIATION * _mean(strength, WINDOW).exp())

    def relative(self, images: Tensor) -> Tensor:
        """How far images (B, 1, H, W) are from the smooth ground, in units of its spread."""
        return (images - self.smooth) / self.spread


def _mean(values: Tensor, side: int) -> Tensor:
    return functional.avg_pool2d(values, side, stride=1, padding=side // 2, count_include_pad=False)
