"""Filling at full resolution and depth, in whatever values a file stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from pipeline.errors import InputError

Mask = NDArray[np.bool_]


def enlarged(stored: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """What is said of stored pixels (h, w), said of those of the original, (height, width).

    An original pixel is filled exactly when the stored pixel that shows its centre is, so the original loses
    what the data-set version lost, decoys included, and nothing else.
    """
    sides = zip((height, width), stored.shape, strict=True)
    rows, columns = (((np.arange(side) + 0.5) * (few / side)).astype(np.int64).clip(0, few - 1) for side, few in sides)
    return stored[np.ix_(rows, columns)]


def repainted(
    values: NDArray[Any],
    holes: Mask,
    drawn: Mask,
    paint: Callable[[Tensor], Tensor],
    *,
    padding: tuple[int, int] | None = None,
    inverted: bool = False,
) -> NDArray[Any]:
    """`values` with the pixels of `holes` and `drawn` as `paint` has them, without passing through a display window.

    `paint` works on [0, 1], bright = dense. The map there and back is affine over the range of the values that stay,
    so nothing is clipped or quantised on the way: all other pixels come back as they were, and painted ones lie between
    the smallest and the largest of those.

    Args:
        values: (H, W) or (H, W, C) integers.
        holes: (H, W), what is filled.
        drawn: (H, W), what is drawn over.
        paint: (1, C, H, W) float32 -> the same, painted.
        padding: first and last value that mean "never exposed" (DICOM PS3.3 C.7.5.1.1.2). No fill reads such pixels,
            no painted pixel gets such a value by chance, and holes nearest to them become padding.
        inverted: larger values are darker (MONOCHROME1).

    Raises:
        InputError: nothing is left to fill from.
    """
    planes, changed = values.reshape(*values.shape[:2], -1), holes | drawn
    unexposed = _within(planes, padding)
    known = ~(changed | unexposed)
    if not known.any():
        raise InputError("the regions to remove cover all of the exposed image")
    low, high = float(planes[known].min()), float(planes[known].max())
    unit = np.clip((planes.astype(np.float64) - low) / max(high - low, 1.0), 0.0, 1.0)
    if inverted:
        unit = 1.0 - unit
    if unexposed.any():
        # The exposed edge is continued into the padding, so that a fill reads a picture and not a code.
        unit = unit[_nearest(~known)]
    image = torch.from_numpy(np.ascontiguousarray(unit.transpose(2, 0, 1), dtype=np.float32))[None]
    shades = paint(image)[0].numpy().transpose(1, 2, 0)[changed].astype(np.float64)
    back = np.rint(low + (1.0 - shades if inverted else shades) * (high - low)).clip(low, high)
    result = planes.copy()
    result[changed] = _off_padding(back, padding, high).astype(values.dtype)
    if unexposed.any():
        nearest = _nearest(changed)
        blank = holes & ~drawn & unexposed[nearest]
        result[blank] = planes[nearest][blank]
    return result.reshape(values.shape)


def _nearest(missing: Mask) -> tuple[NDArray[np.int64], ...]:
    """Rows and columns (H, W) of the nearest pixel that is not `missing`."""
    return tuple(ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True))


def _within(planes: NDArray[Any], padding: tuple[int, int] | None) -> Mask:
    if padding is None:
        return np.zeros(planes.shape[:2], dtype=np.bool_)
    return np.asarray(((planes >= padding[0]) & (planes <= padding[1])).all(axis=2))


def _off_padding(shades: NDArray[np.float64], padding: tuple[int, int] | None, high: float) -> NDArray[np.float64]:
    """The next value that means something, where a fill happened to meet one that means padding."""
    if padding is None:
        return shades
    beside = padding[1] + 1 if padding[1] < high else padding[0] - 1
    return np.where((shades >= padding[0]) & (shades <= padding[1]), beside, shades)
