"""Filling on a coarser grid: what is larger than a method's reach is made small first, and gets its grain back after.

Taking an image down reads known pixels alone; a coarse pixel with any hole in it counts as hole.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.fills.contract import Mask, Plane
from pipeline.fills.geometry import window

RING = 4
"""Least width of the surroundings whose grain is measured, pixels."""
PLACES = 32
"""Places looked at for grain like that around the hole."""
STRONGEST = 4.0
"""Grain is cut there, deviations of that around the hole: an edge that crosses the place is no grain."""


def reduced(plane: Plane, hole: Mask, factor: int) -> tuple[Plane, Mask]:
    """Means of the known pixels of each `factor` x `factor` cell (0 where there are none), and which cells hold a hole.

    Args:
        plane: (H, W); cells at the right and lower border may be cut.
        hole: (H, W), not read from.
        factor: at least 1; 1 changes nothing.
    """
    if factor == 1:
        return plane, hole
    known = _cells((~hole).astype(np.float64), factor)
    values = _cells(np.where(hole, 0, plane).astype(np.float64), factor)
    means = np.divide(values, known, out=np.zeros_like(values), where=known > 0)
    return means.astype(np.float32), _cells(hole.astype(np.float64), factor) > 0


def _cells(values: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Sum over each cell."""
    height, width = (-(-side // factor) for side in values.shape)
    padded = np.zeros((height * factor, width * factor))
    padded[: values.shape[0], : values.shape[1]] = values
    return np.asarray(padded.reshape(height, factor, width, factor).sum(axis=(1, 3)))


def enlarged(coarse: Plane, factor: int, shape: tuple[int, ...]) -> Plane:
    """`coarse` back on the grid of (H, W) `shape`, bicubic, in [0, 1]."""
    if factor == 1:
        return coarse
    size = (coarse.shape[1] * factor, coarse.shape[0] * factor)
    large = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)[: shape[0], : shape[1]]
    return np.asarray(large, dtype=np.float32).clip(0, 1)


def grain(residual: Plane, region: Mask, hole: Mask, generator: np.random.Generator) -> Plane:
    """Fine detail for `region`, lifted whole from a known place: real grain, though of another spot.

    Of `PLACES` random places of the region's box that touch no hole, the one whose grain is as strong as that beside
    the hole is taken; where there is none, white noise of that strength.

    Args:
        residual: (H, W), what a coarser grid leaves over; read outside `hole` only.
        region: bool (H, W), what needs grain.
        hole: bool (H, W), all that is unknown.
        generator: draws places.

    Returns:
        (H, W), 0 outside the box around `region`.
    """
    box = window(region, 0)
    height, width = (side.stop - side.start for side in box)
    near = window(region, max(RING, height // 4, width // 4))
    strength = float(residual[near][~hole[near]].std())
    total = cv2.integral(hole.astype(np.uint8))
    touched = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    free = np.argwhere(touched == 0)
    result = np.zeros_like(residual)
    if len(free):
        corners = free[generator.integers(len(free), size=PLACES)]
        places = [residual[y : y + height, x : x + width] for y, x in corners]
        best = min(places, key=lambda place: abs(float(place.std()) - strength))
        result[box] = best.clip(-STRONGEST * strength, STRONGEST * strength)
    else:
        result[box] = strength * generator.standard_normal((height, width))
    return result
