"""Lung fields, as a plan sees them: what lies in them is not filled unless a person says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.cleanse.masks import Mask, Record, content_window

LUNG_SHARE = 0.1
"""Largest share of a region, grown as it would be filled, that may lie in the lungs: contours are that uncertain."""


@dataclass(frozen=True)
class Lungs:
    """The lung fields of a data set's images.

    Attributes:
        name: what found them; two sets of fields with the same name are the same.
        size: side of the data set's pixel store, pixels.
        masks: by image id, bool (s, s) in the square of the pixel store at any side s; one that is missing or all
            false means that no plausible lungs were found: unknown, not empty.
    """

    name: str
    size: int
    masks: Mapping[str, NDArray[np.bool_]]

    def field(self, record: Record) -> Mask | None:
        """Lungs over the content (h, w) of an image's store; None where they are unknown."""
        mask = self.masks.get(str(record["image_id"]))
        if mask is None or not mask.any():
            return None
        square = cv2.resize(mask.astype(np.uint8), (self.size, self.size), interpolation=cv2.INTER_NEAREST)
        return np.asarray(square[content_window(record)], dtype=np.bool_)
