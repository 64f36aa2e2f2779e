"""How alike two maps are. Rows of (B, N) arrays, or maps (B, 1, H, W), are compared one by one: (B,) numbers.

A map that does not vary is like an equal one (1) and unlike all others (0); correlations leave this open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from skimage.feature import hog
from skimage.metrics import structural_similarity
from torch import Tensor

from pipeline.errors import InputError
from pipeline.explain.metrics.checks import check_maps

Floats = NDArray[np.float64]

MIN_SIDE = 11
"""Window of the Gaussian SSIM, pixels."""
HOG_CELL = 16
"""Side of the cells of oriented gradients, pixels of an image of side 224; scaled to others."""


def comparable(first: Tensor, second: Tensor) -> None:
    """Refuse maps that cannot be compared.

    Raises:
        InputError: not finite (B, 1, H, W), of different shape, or smaller than 11 x 11.
    """
    for maps in (first, second):
        check_maps(maps)
    if first.shape != second.shape or min(first.shape[-2:]) < MIN_SIDE:
        raise InputError(
            f"Maps to compare have one shape of at least {MIN_SIDE} x {MIN_SIDE} pixels, "
            f"found {tuple(first.shape)} and {tuple(second.shape)}."
        )


def pearson(first: Floats, second: Floats) -> Floats:
    """Pearson correlation (B,) of the rows of (B, N) and (B, N)."""
    a, b = (rows - rows.mean(axis=1, keepdims=True) for rows in (first, second))
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    constant = (np.ptp(first, axis=1) == 0) | (np.ptp(second, axis=1) == 0)
    correlation = (a * b).sum(axis=1) / np.where(constant, 1.0, scale)
    return np.where((first == second).all(axis=1), 1.0, correlation)


def spearman(first: Floats, second: Floats) -> Floats:
    """Spearman rank correlation (B,) of the rows of (B, N) and (B, N); ties share their mean rank."""
    return pearson(rankdata(first, axis=1), rankdata(second, axis=1))


def ssim(first: Tensor, second: Tensor, data_range: Sequence[float], **window: Any) -> Floats:
    """Structural similarity (B,) of maps (B, 1, H, W): Wang et al., IEEE TIP 2004, by scikit-image.

    Args:
        first: maps.
        second: maps.
        data_range: of each pair, largest less smallest possible value.
        window: scikit-image's `gaussian_weights` or `win_size`.
    """
    pairs = zip(planes(first), planes(second), data_range, strict=True)
    compare: Callable[..., float] = structural_similarity
    return np.array([compare(a, b, data_range=width, **window) for a, b, width in pairs])


def gradient_histograms(maps: Tensor) -> Floats:
    """Histograms of oriented gradients (B, N) of maps (B, 1, H, W): Dalal and Triggs, CVPR 2005, by scikit-image."""
    cell = max(1, round(HOG_CELL * min(maps.shape[-2:]) / 224))
    return np.stack([hog(plane, pixels_per_cell=(cell, cell)) for plane in planes(maps)])


def planes(maps: Tensor) -> Floats:
    """Maps (B, 1, H, W) as an array (B, H, W)."""
    return np.asarray(maps[:, 0].detach().cpu().double().numpy())


def rows(maps: Tensor) -> Floats:
    """Maps (B, 1, H, W) as an array (B, H * W)."""
    return planes(maps).reshape(len(maps), -1)


def unit(maps: Tensor) -> Tensor:
    """Maps divided by their largest absolute value; a map of zeros stays one."""
    largest = maps.abs().amax(dim=(1, 2, 3), keepdim=True)
    return maps / torch.where(largest > 0, largest, 1.0)


def stretched(maps: Tensor) -> Tensor:
    """Maps shifted and scaled to [0, 1]; a flat map becomes 0."""
    low, high = maps.amin(dim=(1, 2, 3), keepdim=True), maps.amax(dim=(1, 2, 3), keepdim=True)
    return (maps - low) / torch.where(high > low, high - low, 1.0)
