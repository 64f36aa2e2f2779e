"""Small random changes of position and exposure, one set of numbers per image and epoch.

Never mirrored: a mirrored side marker or heart is a picture that does not exist, and letters are what we look for.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, radians

import torch
import torch.nn.functional as functional
from torch import Tensor

from pipeline.randomness import torch_generator

MAX_ROTATION = radians(7)
MAX_LOG_SCALE = log(1.1)
MAX_SHIFT = 0.05
"""Fraction of the image's side."""
MAX_LOG_CONTRAST = log(1.2)
MAX_BRIGHTNESS = 0.1
MAX_NOISE = 0.05
"""Standard deviation of white noise. Films are noisy, and explainers that add noise (the iGOS family, 0.2 after
normalisation, which is 0.05 here) see nothing in a network that gives one answer to every noisy image."""


def augment(images: Tensor, image_ids: Sequence[str], seed: int, epoch: int) -> Tensor:
    """Each image shifted, scaled, rotated, made noisy, its brightness and contrast changed, by its own random amounts.

    Args:
        images: float32 (B, 1, S, S) in [0, 1]; not modified.
        image_ids: one per image. An image's change depends on (seed, epoch, image id) only, not on the batch.
        seed: of the run.
        epoch: of the training.

    Returns:
        float32 (B, 1, S, S) in [0, 1]; black where the image moved away.
    """
    generators = [torch_generator(seed, "augment", epoch, image_id) for image_id in image_ids]
    draws = _draws(generators).to(images.device)
    angle, scale, shift_x, shift_y, contrast, brightness, noise = draws.unbind(1)
    theta = _affine(angle * MAX_ROTATION, scale * MAX_LOG_SCALE, shift_x * MAX_SHIFT, shift_y * MAX_SHIFT)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    gain = torch.exp(contrast * MAX_LOG_CONTRAST).view(-1, 1, 1, 1)
    offset = (brightness * MAX_BRIGHTNESS).view(-1, 1, 1, 1)
    grain = torch.stack([torch.randn(images.shape[1:], generator=generator) for generator in generators])
    strength = ((noise + 1) / 2 * MAX_NOISE).view(-1, 1, 1, 1)
    return ((moved - 0.5) * gain + 0.5 + offset + grain.to(images.device) * strength).clamp_(0, 1)


def _draws(generators: Sequence[torch.Generator]) -> Tensor:
    """Uniform numbers in [-1, 1), (B, 7)."""
    return torch.stack([torch.rand(7, generator=generator) for generator in generators]) * 2 - 1


def _affine(angle: Tensor, log_scale: Tensor, shift_x: Tensor, shift_y: Tensor) -> Tensor:
    """Matrices (B, 2, 3) from output to input coordinates in [-1, 1]; determinant > 0, so nothing is mirrored."""
    cosine, sine = torch.cos(angle) * torch.exp(-log_scale), torch.sin(angle) * torch.exp(-log_scale)
    # Coordinates span 2 sides, hence the factor 2.
    rows = torch.stack([cosine, -sine, 2 * shift_x, sine, cosine, 2 * shift_y], dim=1)
    return rows.view(-1, 2, 3)
