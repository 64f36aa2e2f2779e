"""Architecture of the inpainter."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from models.errors import ModelError
from models.inpainters.ground import Ground

SIDE = 128
"""Side of most windows it is trained on, pixels; it takes any size."""
STRIDE = 4
"""Of the network's coarsest maps."""
GRAINS, GRAIN_SIDE = 8, 5
"""Filters that make grain of white noise, and their side, pixels."""
FAINT = 0.1
"""Strength of each grain at the start, in units of the ground's spread; from 0 it could not be learned."""


@dataclass(frozen=True)
class InpainterSpec:
    """What is needed to rebuild the network.

    Attributes:
        widths: channels at full, half and quarter resolution.
        dilations: of the 3 x 3 convolutions at quarter resolution, one after the other.
    """

    widths: tuple[int, int, int] = (16, 32, 48)
    dilations: tuple[int, ...] = (1, 2, 4, 8, 4, 1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        object.__setattr__(self, "dilations", tuple(self.dilations))
        if len(self.widths) != 3 or not all(_positive(value) for value in (*self.widths, *self.dilations)):
            raise ModelError(f"An inpainter needs three widths and dilations, all whole and above 0; found {self}.")


def _positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


class GatedConv(nn.Module):
    """A 3 x 3 convolution whose output is weighed, place by place, by what a 1 x 1 convolution sees there.

    Gated convolution (Yu et al., Free-Form Image Inpainting with Gated Convolution, ICCV 2019, equation 3) with the
    gate made light as in Yi et al., CVPR 2020 (pointwise LWGC): half the arithmetic.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.feature = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=dilation, dilation=dilation)
        self.gate = nn.Conv2d(inputs, outputs, 1, stride=stride)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        return functional.elu(self.feature(maps)) * torch.sigmoid(self.gate(maps))


class Inpainter(nn.Module):
    """A U-Net of gated convolutions with a dilated bottleneck that paints what could stand in a hole.

    To the smooth continuation of the surroundings it adds, in units of their spread (`Ground`), detail and grain:
    filtered white noise whose strength it decides place by place. The noise is one of its input channels too. No map
    is normalised over the picture or the batch. Untrained it is the smooth continuation with faint grain.
    """

    def __init__(self, spec: InpainterSpec | None = None, *, seed: int = 0) -> None:
        """Freshly initialised from `seed`; the global random state is left as it was."""
        super().__init__()
        self.spec = spec or InpainterSpec()
        full, half, quarter = self.spec.widths
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.outer = GatedConv(5, full)
            self.middle = nn.Sequential(GatedConv(full, half, stride=2), GatedConv(half, half))
            self.inner = GatedConv(half, quarter, stride=2)
            self.context = nn.ModuleList(GatedConv(quarter, quarter, dilation=step) for step in self.spec.dilations)
            self.widen = nn.ModuleList(nn.Conv2d(*pair, 1) for pair in pairwise((quarter, half, full)))
            self.paint_half, self.paint_full = GatedConv(half, half), GatedConv(full, full)
            self.grain = nn.Conv2d(1, GRAINS, GRAIN_SIDE, padding=GRAIN_SIDE // 2, bias=False)
            nn.init.orthogonal_(self.grain.weight)
            self.last = nn.Conv2d(full, 1 + GRAINS, 3, padding=1, bias=False)
            nn.init.zeros_(self.last.weight)
            self.level = nn.Parameter(torch.tensor([0.0] + [FAINT] * GRAINS))

    def inpaint(self, images: Tensor, hole: Tensor, noise: Tensor) -> Tensor:
        """Images with the hole painted: float32 (B, 1, H, W) in [0, 1]; outside the hole they are bit-identical.

        No gradient. Another noise paints another picture.

        Args:
            images: float32 (B, 1, H, W) in [0, 1], any H and W; nothing under the hole is read.
            hole: bool (B, 1, H, W).
            noise: float32 (B, 1, H, W), standard normal.

        Raises:
            ValueError: shapes or types differ from these.
        """
        _check(images, hole, noise)
        height, width = images.shape[-2:]
        margin = (0, -width % STRIDE, 0, -height % STRIDE)
        beyond = functional.pad(hole, margin, value=True)  # what lies outside the picture is unknown as well
        with torch.no_grad():
            painted = self(functional.pad(images, margin), beyond, functional.pad(noise, margin))
        return torch.where(hole, painted[..., :height, :width].clamp(0, 1), images)

    def forward(self, images: Tensor, hole: Tensor, noise: Tensor, ground: Ground | None = None) -> Tensor:
        """What is painted (B, 1, H, W), neither clamped nor composited; H and W divisible by `STRIDE`.

        Args:
            images: as for `inpaint`.
            hole: as for `inpaint`.
            noise: as for `inpaint`.
            ground: `Ground.around(images, hole)` where it is known already.
        """
        ground = ground or Ground.around(images, hole)
        known = (~hole).to(images.dtype)
        seen = ground.relative(ground.filled).asinh()  # grain as it is, edges moderated
        given = [seen, known, noise * (1 - known), ground.smooth - 0.5, ground.spread.log()]
        outer = self.outer(torch.cat(given, dim=1))
        middle = self.middle(outer)
        inner = self.inner(middle)
        for layer in self.context:
            inner = inner + layer(inner)
        half = self.paint_half(middle + _doubled(self.widen[0](inner)))
        drawn = self.last(self.paint_full(outer + _doubled(self.widen[1](half)))) + self.level[:, None, None]
        detail: Tensor = drawn[:, :1] + (drawn[:, 1:] * self.grain(noise)).sum(dim=1, keepdim=True)
        return ground.filled + ground.spread * detail


def _doubled(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2, mode="nearest")


def _check(images: Tensor, hole: Tensor, noise: Tensor) -> None:
    wanted = (len(images), 1, *images.shape[-2:])
    found = {"images": (images, torch.float32), "hole": (hole, torch.bool), "noise": (noise, torch.float32)}
    for name, (values, dtype) in found.items():
        if values.shape != wanted or values.dtype != dtype:
            raise ValueError(f"{name} must be {wanted} {dtype}, found {tuple(values.shape)} {values.dtype}")
