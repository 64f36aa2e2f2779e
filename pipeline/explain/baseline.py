"""The image without evidence, where the paths of integrated gradients and masks end."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from models.spec import ModelSpec
from pipeline.errors import InputError, did_you_mean

Baseline = str | Tensor
"""A name for `make_baseline`, or network input (C, H, W) for all images, e.g. the mean of healthy ones."""
BASELINES = {
    "blur": "so heavy a blur that only brightness gradients are left, as in the iGOS papers",
    "zero": "network input 0, the mean grey of training: a flat image that no patient gives",
    "black": "intensity 0: no evidence looks blacker than air, and lungs are nearly air",
}
"""What each name gives."""


def make_baseline(baseline: Baseline, images: Tensor, spec: ModelSpec) -> Tensor:
    """Baselines for network input (B, C, H, W), same shape.

    Raises:
        InputError: unknown name, or a tensor of another shape than one image.
    """
    if isinstance(baseline, Tensor):
        if baseline.shape != images.shape[1:]:
            raise InputError(
                f"A baseline for these images is {tuple(images.shape[1:])}, found {tuple(baseline.shape)}."
            )
        return baseline.to(images).expand_as(images)
    if baseline not in BASELINES:
        raise InputError(f"Unknown baseline {baseline!r}. {did_you_mean(baseline, BASELINES)}")
    if baseline == "blur":
        return blurred_baseline(images)
    return torch.zeros_like(images) if baseline == "zero" else spec.normalise(torch.zeros_like(images))


def blurred_baseline(images: Tensor) -> Tensor:
    """Gaussian blur of (B, C, H, W), the baseline of the iGOS papers; same shape and normalisation.

    51 taps with sigma 50 for images below 500 pixels, 151/150 below 800, 201/200 from there on, mirrored at the
    border without repeating the edge pixel (as OpenCV does). The weights sum to one, so blurring before or after
    normalisation is the same.
    """
    height, width = images.shape[-2:]
    taps = _taps(min(height, width))
    return _blur_matrix(height, taps, images) @ images @ _blur_matrix(width, taps, images).T


def _taps(side: int) -> int:
    if side < 500:
        return 51
    return 151 if side < 800 else 201


def _blur_matrix(size: int, taps: int, like: Tensor) -> Tensor:
    """(size, size): row i holds the weights with which the pixels of a line make blurred pixel i."""
    offsets = np.arange(taps) - taps // 2
    weights = np.exp(-(offsets**2) / (2.0 * (taps - 1) ** 2))
    matrix = np.zeros((size, size))
    for pixel in range(size):
        np.add.at(matrix[pixel], _mirror(pixel + offsets, size), weights / weights.sum())
    return torch.as_tensor(matrix, dtype=like.dtype, device=like.device)


def _mirror(positions: np.ndarray, size: int) -> np.ndarray:
    """Positions outside 0..size-1 folded back, as often as a small image needs."""
    period = max(2 * (size - 1), 1)
    folded = positions % period
    return np.minimum(folded, period - folded) if size > 1 else np.zeros_like(positions)
