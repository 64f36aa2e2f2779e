"""The smooth masks of extremal perturbations: Fong, Patrick and Vedaldi, ICCV 2019 (arXiv 1910.08485)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor

REFERENCE_SIDE = 224
"""Side in pixels of the images for which step and width are given."""
STEP = 7.0
"""Distance of the mask's parameters, pixels of a 224 pixel image."""
WIDTH = 21.0
"""Width of the kernel, pixels of a 224 pixel image."""
TEMPERATURE = 1 / 20
"""Of the smooth maximum: ``smax(v) = sum v exp(v / T) / sum exp(v / T)``."""


class SmoothMask:
    """Masks that are the smooth maximum of bumps: ``m(u) = smax over parameters p of p k(|u - place of p|)``.

    The kernel is flat up to half its width and then falls like a Gaussian, ``k(d) = exp(-2 max(0, d / width - 1/2)^2)``
    (recalled from the literature, as are the temperature, step and width; the paper only asks for a bump with
    k(0) = 1). Around the image the parameters are mirrored, so that each has the same influence on the mask as any
    other; otherwise those at the border, which less holds back, win whenever the classifier is indifferent. We evaluate
    the maximum at the parameters' places only and interpolate bilinearly between, which for a kernel three steps wide
    is the same picture 49 times cheaper.

    Attributes:
        cells: number of parameters; so many equal cells tile the image, with a parameter at the centre of each.
    """

    def __init__(self, images: Tensor) -> None:
        """For images (B, C, H, W), their type and device."""
        self._size = images.shape[-2:]
        step = max(1.0, STEP * min(self._size) / REFERENCE_SIDE)
        self._grid = [max(1, round(side / step)) for side in self._size]
        width = WIDTH / REFERENCE_SIDE * min(self._size) / step
        self._reach = math.ceil(2 * width)  # where the kernel has fallen to 0.01
        self._rows, self._columns = (_mirrored(side, self._reach).to(images.device) for side in self._grid)
        offsets = torch.arange(-self._reach, self._reach + 1).to(images)
        distance = torch.hypot(offsets[:, None], offsets) / width
        self._kernel = torch.exp(-2 * (distance - 0.5).clamp_min(0) ** 2).flatten()[:, None]
        self.cells = math.prod(self._grid)

    def start(self, count: int) -> Tensor:
        """Parameters (count, 1, rows, columns) before the first step: a half everywhere."""
        return self._kernel.new_full((count, 1, *self._grid), 0.5)

    def cells_of(self, parameters: Tensor) -> Tensor:
        """The mask (n, 1, rows, columns) at the parameters' places; differentiable."""
        around = parameters[:, :, self._rows][..., self._columns]
        bumps = self._kernel * functional.unfold(around, 2 * self._reach + 1)
        highest = (bumps * torch.softmax(bumps / TEMPERATURE, dim=1)).sum(dim=1)
        return highest.view(-1, 1, *self._grid)

    def enlarged(self, cells: Tensor) -> Tensor:
        """The mask (n, 1, H, W) between those places; differentiable."""
        return functional.interpolate(cells, self._size, mode="bilinear", align_corners=False)


def _mirrored(side: int, reach: int) -> Tensor:
    """Numbers 0..side-1 with `reach` more on either end, mirrored with the outermost repeated."""
    places = torch.arange(-reach, side + reach) % (2 * side)
    return torch.minimum(places, 2 * side - 1 - places)
