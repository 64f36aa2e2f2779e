"""How steep a picture is, the same to the last bit wherever it lies in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def steepness(across: NDArray[Any], down: NDArray[Any]) -> NDArray[np.float32]:
    """Length of the gradient, (H, W), from its two components in float32.

    Not `cv2.magnitude`: the last bits of that depend on where in memory its arguments happen to lie, and so on the
    process that asks.
    """
    return np.asarray(np.sqrt(across * across + down * down), dtype=np.float32)
