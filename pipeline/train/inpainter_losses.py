"""What an inpainter is told: be where the truth is, have its texture, and do not be recognised."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from monai.networks.nets.patchgan_discriminator import PatchDiscriminator
from torch import Tensor, nn

from models.inpainters import Ground

RIM = 2
"""Pixels around a hole that count with it: a step at its border is texture too."""
SCALES = 3
"""Each half the size of the one before, at which texture is measured."""
FAINT = 1 / 1020
"""Texture below a quarter of a grey level of 8 bits does not count."""
COARSE = 4
"""Side of the squares whose mean the structure loss compares, pixels."""


def structure_loss(painted: Tensor, truth: Tensor, hole: Tensor, ground: Ground) -> Tensor:
    """Mean absolute error inside the hole of means over 4 x 4 pixels, in units of the ground's spread.

    Single pixels of the truth cannot be known from outside; asking for them gives blur.
    """
    weight = functional.avg_pool2d(hole.to(truth.dtype), COARSE)
    error = functional.avg_pool2d(((painted - truth) / ground.spread).masked_fill(~hole, 0), COARSE)
    return error.abs().sum() / weight.sum().clamp(min=1)


def texture_loss(made: Tensor, truth: Tensor, hole: Tensor) -> Tensor:
    """Mean absolute difference of the logarithms of texture inside each hole, made against true.

    Texture is the mean absolute Laplacian and gradient at `SCALES` scales over the hole grown by `RIM`, and the
    deviation: what an observer who looks at energies can see.
    """
    grown = functional.max_pool2d(hole.to(truth.dtype), 2 * RIM + 1, stride=1, padding=RIM)
    return (_energies(made, grown) - _energies(truth, grown)).abs().mean()


def _energies(images: Tensor, where: Tensor) -> Tensor:
    """Logarithms of the texture of images (B, 1, H, W) `where` (0 to 1), (B, 2 x SCALES + 1)."""
    logs = [_log_mean((images - _mean_over(images, where)).square(), where, FAINT**2) / 2]
    for scale in range(SCALES):
        if scale:
            images, where = functional.avg_pool2d(images, 2), functional.avg_pool2d(where, 2)
        across, down = images.diff(dim=3)[:, :, 1:-1, 1:], images.diff(dim=2)[:, :, 1:, 1:-1]
        gradient = (across.square() + down.square() + FAINT**2).sqrt()
        laplacian = functional.conv2d(images, _laplace(images)).abs()
        inner = where[:, :, 1:-1, 1:-1]
        logs += [_log_mean(gradient, inner, FAINT), _log_mean(laplacian, inner, FAINT)]
    return torch.cat(logs, dim=1)


def _laplace(like: Tensor) -> Tensor:
    return like.new_tensor([[[[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]]])


def _mean_over(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum(dim=(2, 3), keepdim=True) / where.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)


def _log_mean(values: Tensor, where: Tensor, floor: float) -> Tensor:
    return (_mean_over(values, where) + floor).log().flatten(1)


class Judge(nn.Module):
    """Says of every patch whether it was painted: MONAI's patch discriminator with group norm.

    Spectrally normalised it was fooled long before a plain network was.

    It sees the picture relative to its ground and where the hole is, so painted and true differ by nothing but what
    stands in the hole; patches that do not touch the hole are the same in both and are not asked about.
    """

    def __init__(self, width: int = 24, *, seed: int = 0) -> None:
        """Freshly initialised from `seed`; the global random state is left as it was."""
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.network = PatchDiscriminator(2, width, 2, num_layers_d=2, norm=("GROUP", {"num_groups": 8}), bias=True)
            for module in self.network.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, 0.2)

    def forward(self, images: Tensor, hole: Tensor, ground: Ground) -> tuple[Tensor, list[Tensor]]:
        """Images (B, 1, H, W), real or composited -> verdicts and what they rest on.

        Returns:
            How real each patch that touches the hole looks, (n,); and each layer's mean over such patches, (B, C).
        """
        seen, where = ground.relative(images).asinh(), hole.to(images.dtype)  # grain as it is, edges moderated
        *layers, verdict = self.network(torch.cat([seen, where], dim=1))
        touched = functional.adaptive_max_pool2d(where, verdict.shape[-2:]) > 0
        sizes = (functional.adaptive_avg_pool2d(where, layer.shape[-2:]) for layer in layers)
        return verdict[touched], [_mean_over(*pair).flatten(1) for pair in zip(layers, sizes, strict=True)]


def judge_loss(real: Tensor, painted: Tensor) -> Tensor:
    """Hinge loss of the judge (Lim and Ye, Geometric GAN, 2017).

    MONAI's `PatchAdversarialLoss` squeezes verdicts through tanh before its hinge, which takes the painter's gradient
    away exactly where it is recognised.
    """
    return functional.relu(1 - real).mean() + functional.relu(1 + painted).mean()


def matching_loss(real: list[Tensor], painted: list[Tensor]) -> Tensor:
    """How far the judge's mean features of painted holes are from those of the truth, relative to the latter's size.

    Feature matching (Salimans et al., Improved Techniques for Training GANs, 2016, section 3.1), for each hole.
    """
    parts = [
        (made - true).abs().mean() / true.abs().mean().clamp(min=1e-3) for true, made in zip(real, painted, strict=True)
    ]
    return torch.stack(parts).mean()


def composite(painted: Tensor, truth: Tensor, hole: Tensor, levels: int) -> Tensor:
    """The picture with its hole painted, in `levels` grey steps as the store keeps it; gradients pass the rounding."""
    clamped = painted.clamp(0, 1)
    stepped = clamped + ((clamped * levels).round() / levels - clamped).detach()
    return torch.where(hole, stepped, truth)
