"""How far a filled hole is from what was there."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.benchmark.fills.subjects import Plane
from pipeline.cleanse.masks import Mask

GREYS = 255
"""Errors are in grey levels of an 8-bit picture."""
SURROUNDINGS = 16
"""Pixels around a hole that the perceptual distance is taken over as well."""
GMS_CONSTANT = 170
"""Xue et al., for grey levels up to 255."""

Values = NDArray[np.float64]


def errors(filled: Plane, truth: Plane, hole: Mask) -> dict[str, float]:
    """Errors of one hole.

    Args:
        filled: window (h, w) in [0, 1] around the hole.
        truth: what stood there.
        hole: bool (h, w).

    Returns:
        ``mae`` and ``rmse`` inside the hole, grey levels of 255; ``psnr`` of the hole, dB, with an error of less than a
        hundredth of a grey level counted as that; ``gmsd`` of the window, see `gmsd`.
    """
    error = GREYS * (filled.astype(np.float64) - truth)[hole]
    rmse = float(np.sqrt(np.mean(error**2)))
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": rmse,
        "psnr": 20 * math.log10(GREYS / max(rmse, 0.01)),
        "gmsd": gmsd(filled, truth),
    }


def gmsd(a: Plane, b: Plane) -> float:
    """Gradient magnitude similarity deviation of two pictures (h, w) in [0, 1]; 0: alike, larger: looks more different.

    Xue, Zhang, Mou and Bovik, IEEE T. Image Processing 23(2), 2014, equations 4 and 6, with their constant, at full
    resolution: the authors halve the picture first, which a window of twenty pixels does not bear.
    """
    first, second = _gradient(GREYS * a.astype(np.float64)), _gradient(GREYS * b.astype(np.float64))
    similarity = (2 * first * second + GMS_CONSTANT) / (first**2 + second**2 + GMS_CONSTANT)
    return float(similarity.std())


def _gradient(plane: Values) -> Values:
    """Prewitt magnitude, the filters divided by three as the authors do."""
    return np.asarray(np.hypot(*(ndimage.prewitt(plane, axis) / 3 for axis in (0, 1))))
