"""The hole that a salient region leaves, and how much the pixels around it count.

Thakur and Fischmeister, ICPR 2020, arXiv 2006.09504, cut the map off at a threshold; their figure sweeps the hole
over "50 ... 90 % of the bounding box" without saying of what. We chose: the salient region is the connected region
around the map's maximum where the map is above the middle of its range; the hole of s % is the most salient s % of
the pixels inside that region's bounding box. Larger holes contain smaller ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import InputError

RIM = 15
"""Side of the mean filter behind the importance weights, pixels; the authors' value for 64 pixels."""


def salient_holes(saliency: Tensor, shares: Sequence[float]) -> list[Tensor]:
    """For each share the most salient pixels in the box around the salient region, bool (S, S).

    Args:
        saliency: map (S, S), larger = matters more.
        shares: sizes, shares of the box's pixels.

    Raises:
        InputError: the map is the same everywhere.
    """
    low, high = float(saliency.min()), float(saliency.max())
    if not low < high:
        raise InputError(f"The saliency map is {high:g} everywhere, so there is no salient region. Use another method.")
    region = _region_of_maximum((saliency >= (low + high) / 2).cpu().numpy(), int(saliency.argmax()))
    box = torch.zeros_like(saliency, dtype=torch.bool)
    rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    # Equal values keep the order of rows, so the holes are nested and the same on every device.
    ranked = saliency.masked_fill(~box, -torch.inf).flatten().argsort(descending=True, stable=True)
    holes = []
    for share in shares:
        hole = torch.zeros(saliency.numel(), dtype=torch.bool, device=saliency.device)
        hole[ranked[: round(share * int(box.sum()))]] = True
        holes.append(hole.view_as(saliency))
    return holes


def rim_weights(hole: Tensor, width: int = RIM) -> Tensor:
    """Importance R = B * mean filter(1 - B), symmetric border: 0 in the hole, largest at its rim, 0 far away.

    Args:
        hole: bool (S, S), where B is 0.
        width: side of the mean filter, pixels.

    Returns:
        float32 (S, S).
    """
    outside = hole.cpu().numpy().astype(np.float32)
    # Counts, not means: sums of ones are exact, so that far from the hole there is nothing at all.
    counts = cv2.boxFilter(outside, -1, (width, width), normalize=False, borderType=cv2.BORDER_REFLECT)
    return torch.from_numpy(counts / width**2 * (1 - outside)).to(hole.device)


def _region_of_maximum(above: NDArray[np.bool_], maximum: int) -> NDArray[np.bool_]:
    """The 8-connected region of `above` (S, S) that holds the pixel numbered `maximum`."""
    _, labels = cv2.connectedComponents(above.astype(np.uint8), connectivity=8)
    return np.asarray(labels == labels.flat[maximum])
