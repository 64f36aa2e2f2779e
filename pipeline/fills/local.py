"""Fills from the grey values beside a region: average, mean, median, noise."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor

from pipeline.fills.contract import Mask, Plane, by_plane, draw_seed
from pipeline.fills.geometry import regions, ring, window
from pipeline.randomness import numpy_generator

RING = 4
"""Width of the ring that a region's mean, median or deviation is taken from, pixels."""
BLUR_MIN_SIGMA = 3.0
"""Smallest Gaussian of the blur fill, pixels; larger regions get half their depth."""


def mean(plane: Plane, mask: Mask) -> Plane:
    """Each region becomes the mean of the ring around it."""
    result = plane.copy()
    for region in regions(mask):
        result[region] = np.mean(plane[ring(region, mask, RING)])
    return result


def median(plane: Plane, mask: Mask) -> Plane:
    """Each region becomes the median of the ring around it."""
    result = plane.copy()
    for region in regions(mask):
        result[region] = np.median(plane[ring(region, mask, RING)])
    return result


def noise(images: Tensor, where: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Each region becomes Gaussian noise with the mean and deviation of the ring around it."""
    return by_plane(partial(_noise, seed=draw_seed(generator)))(images, where, None)


def _noise(plane: Plane, mask: Mask, *, seed: int) -> Plane:
    drawn = numpy_generator(seed, "noise fill").standard_normal(plane.shape, dtype=np.float32)
    result = plane.copy()
    for region in regions(mask):
        around = plane[ring(region, mask, RING)]
        result[region] = (around.mean() + around.std() * drawn[region]).clip(0, 1)
    return result


def blur(plane: Plane, mask: Mask) -> Plane:
    """Gaussian average of the pixels outside (normalised convolution, Knutsson and Westin, CVPR 1993)."""
    result = plane.copy()
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    for region in regions(mask):
        # The deepest pixel is two sigma from an outside pixel, so no weight vanishes.
        sigma = max(BLUR_MIN_SIGMA, float(depth[region].max()) / 2)
        rows, columns = window(region, round(4 * sigma))
        known = (~mask[rows, columns]).astype(np.float32)
        weight = _gaussian(known, sigma)
        average = _gaussian(plane[rows, columns] * known, sigma) / np.maximum(weight, np.finfo(np.float32).tiny)
        result[rows, columns] = np.where(region[rows, columns], average, result[rows, columns])
    return result


def _gaussian(plane: Plane, sigma: float) -> Plane:
    side = 2 * round(4 * sigma) + 1
    blurred = cv2.GaussianBlur(plane, (side, side), sigma, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(blurred, dtype=np.float32)
