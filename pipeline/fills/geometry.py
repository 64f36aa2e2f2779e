"""Regions of a mask, the rings around them and the windows they stand in."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from pipeline.fills.contract import Mask

Window = tuple[slice, slice]
"""Rows and columns."""


def regions(mask: Mask) -> Iterator[Mask]:
    """The 8-connected regions of `mask` (H, W), one at a time."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    for number in range(1, count):
        yield labels == number


def ring(region: Mask, mask: Mask, width: int) -> Mask:
    """Pixels outside `mask` within `width` of `region`; of a region enclosed by others, within twice that and so on."""
    found = grown(region, width) & ~mask
    return found if found.any() else ring(region, mask, 2 * width)


def grown(mask: Mask, pixels: int) -> Mask:
    """`mask` dilated by a square."""
    side = 2 * pixels + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)), dtype=np.bool_)


def window(mask: Mask, margin: int) -> Window:
    """Rows and columns of the box around `mask`, `margin` wider on every side, inside the image."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(int(rows[0]) - margin, 0), min(int(rows[-1]) + margin + 1, mask.shape[0])),
        slice(max(int(columns[0]) - margin, 0), min(int(columns[-1]) + margin + 1, mask.shape[1])),
    )
