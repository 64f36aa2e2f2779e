"""The neutral marker: one plain disc at the same relative place, size and brightness in every image.

It is drawn in images that had no marker too. Were it drawn only where one was found, its presence would say as much as
the letter did. Letter, font and place then say nothing; which side is left can no longer be read off the picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.cleanse.masks import Mask, Record, content_size, content_window

DIAMETER = 0.04
"""Of the disc, share of the shorter side of the picture: about that of a lead marker."""
MARGIN = 0.03
"""Between the disc and the upper and left border, share of the shorter side."""
BRIGHTNESS = 0.85


def neutral_marker(size: tuple[int, int]) -> NDArray[np.float32]:
    """Opacity (h, w) of the marker on a picture of (h, w) `size`, in [0, 1]; the rim is smoothed over one pixel."""
    side = min(size)
    radius = max(DIAMETER * side / 2, 1.0)
    centre = MARGIN * side + radius
    rows, columns = (np.arange(length, dtype=np.float32) + np.float32(0.5) for length in size)
    distance = np.hypot(rows[:, None] - centre, columns[None, :] - centre)
    return np.asarray((radius + 0.5 - distance).clip(0, 1), dtype=np.float32)


def marker_mask(record: Record) -> Mask:
    """Pixels of an image's content that the marker touches."""
    return np.asarray(neutral_marker(content_size(record)) > 0, dtype=np.bool_)


def draw_markers(images: Tensor, of: Sequence[Record]) -> Tensor:
    """Stored images (n, 1, S, S) in [0, 1] with the neutral marker; every other pixel stays."""
    drawn = images.clone()
    for image, record in zip(drawn, of, strict=True):
        content = image[(slice(None), *content_window(record))]
        opacity = torch.from_numpy(neutral_marker(content_size(record)))
        content.copy_(torch.where(opacity > 0, content.lerp(torch.tensor(BRIGHTNESS), opacity), content))
    return drawn
