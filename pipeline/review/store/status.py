"""In what state a region is, by its own decisions and its finding's; `derived` counts by the same rule in SQL."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.review.values import Status

STATUSES: tuple[Status, ...] = get_args(Status)
"""Code -> status."""
OPEN, SECOND, CONFLICT, DECIDED = range(4)


def effective(own: NDArray[np.int8], ruled: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Codes (n,) of the state of regions: decided, by themselves or by their finding, unless they are in conflict.

    Args:
        own: codes (n,) of the regions' own decisions.
        ruled: (n,), whether the region's finding is decided.
    """
    return np.where(ruled & (own != CONFLICT), DECIDED, own).astype(np.int8)
