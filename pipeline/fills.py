"""Removal operators: what stands where something was taken out.

One interface for explainers, causal tests and cleansing::

    fill(images (B, C, H, W) float32 in [0, 1], where (B, 1, H, W) bool, generator) -> images

Pixels outside `where` come back bit-identical; the inputs are not modified. What an image gets depends on
that image alone, never on the batch. Nothing under `where` is read, so the removed mark cannot bleed back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import InputError, did_you_mean

Fill = Callable[[Tensor, Tensor, torch.Generator | None], Tensor]
"""(images, where, generator) -> images. The generator serves fills that draw noise; the present ones draw none."""

_Plane = NDArray[np.float32]
_Mask = NDArray[np.bool_]
_Painter = Callable[[_Plane, _Mask], _Plane]
"""Fills one channel (H, W) under a mask (H, W) that is neither empty nor full."""

TELEA_RADIUS = 3
"""Neighbourhood of each filled pixel, pixels; OpenCV's customary value."""
MEDIAN_RING = 4
"""Width of the ring whose median fills a region, pixels."""
BLUR_MIN_SIGMA = 3.0
"""Smallest Gaussian of the blur fill, pixels; larger regions get half their depth."""


def available_fills() -> tuple[str, ...]:
    """Names that `fill` accepts."""
    return tuple(sorted(_PAINTERS))


def fill(name: str) -> Fill:
    """The removal operator called `name`.

    * ``blur``: Gaussian average of the outside pixels (normalised convolution, Knutsson and Westin, CVPR 1993);
    * ``median``: each connected region becomes the median of the ring around it;
    * ``telea``: fast marching inpainting (Telea, J. Graphics Tools 9(1), 2004), at 16 bits.

    Raises:
        InputError: no such fill.
    """
    painter = _PAINTERS.get(name)
    if painter is None:
        raise InputError(f"There is no fill {name!r}. {did_you_mean(name, _PAINTERS)}")

    def apply(images: Tensor, where: Tensor, generator: torch.Generator | None = None) -> Tensor:
        _check(images, where)
        filled = images.clone()
        for index in where.flatten(1).any(dim=1).nonzero().flatten().tolist():
            mask = where[index, 0].cpu().numpy()
            for channel in range(images.shape[1]):
                plane = painter(images[index, channel].detach().cpu().numpy(), mask)
                values = torch.from_numpy(plane).to(images)
                filled[index, channel] = torch.where(where[index, 0], values, images[index, channel])
        return filled

    return apply


def _check(images: Tensor, where: Tensor) -> None:
    batch, _, height, width = images.shape
    if where.shape != (batch, 1, height, width) or where.dtype != torch.bool:
        raise ValueError(
            f"images {tuple(images.shape)} need `where` ({batch}, 1, {height}, {width}) bool, "
            f"found {tuple(where.shape)} {where.dtype}"
        )
    full = where.flatten(1).all(dim=1).nonzero().flatten().tolist()
    if full:
        raise ValueError(f"`where` covers all of image {full[0]} of the batch: nothing is left to fill it from.")


def _telea(plane: _Plane, mask: _Mask) -> _Plane:
    # 16 bits keep the depth of any store; OpenCV's 32-bit variant of Telea leaves [0, 1].
    rows, columns = _window(mask, 4 * TELEA_RADIUS)
    hole = mask[rows, columns]
    deep = np.rint(plane[rows, columns] * 65535).astype(np.uint16)
    deep[hole] = 0  # OpenCV reads a hole where it touches the border: nothing of the mark may be left in it
    painted = cv2.inpaint(deep, hole.astype(np.uint8), TELEA_RADIUS, cv2.INPAINT_TELEA)
    result = plane.copy()
    result[rows, columns] = painted.astype(np.float32) / np.float32(65535)
    return result


def _median(plane: _Plane, mask: _Mask) -> _Plane:
    result = plane.copy()
    for region in _regions(mask):
        ring, width = np.zeros_like(mask), MEDIAN_RING
        while not ring.any():  # a region enclosed by another one needs a wider ring
            ring, width = _grown(region, width) & ~mask, 2 * width
        result[region] = np.median(plane[ring])
    return result


def _blur(plane: _Plane, mask: _Mask) -> _Plane:
    result = plane.copy()
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    for region in _regions(mask):
        # The deepest pixel is two sigma from an outside pixel, so no weight vanishes.
        sigma = max(BLUR_MIN_SIGMA, float(depth[region].max()) / 2)
        rows, columns = _window(region, round(4 * sigma))
        known = (~mask[rows, columns]).astype(np.float32)
        weight = _gaussian(known, sigma)
        average = _gaussian(plane[rows, columns] * known, sigma) / np.maximum(weight, np.finfo(np.float32).tiny)
        result[rows, columns] = np.where(region[rows, columns], average, result[rows, columns])
    return result


def _gaussian(plane: _Plane, sigma: float) -> _Plane:
    side = 2 * round(4 * sigma) + 1
    blurred = cv2.GaussianBlur(plane, (side, side), sigma, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(blurred, dtype=np.float32)


def _regions(mask: _Mask) -> Iterator[_Mask]:
    """The 8-connected regions of `mask`, one at a time."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    for number in range(1, count):
        yield labels == number


def _grown(mask: _Mask, pixels: int) -> _Mask:
    side = 2 * pixels + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)), dtype=np.bool_)


def _window(mask: _Mask, margin: int) -> tuple[slice, slice]:
    """Rows and columns of the box around `mask`, `margin` wider on every side, inside the image."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + margin + 1),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + margin + 1),
    )


_PAINTERS: dict[str, _Painter] = {"blur": _blur, "median": _median, "telea": _telea}
