"""Pictures that differ from each other as x-rays do: everywhere, at coarse and fine scale."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest


def _picture(seed: int, width: int = 120, height: int = 140) -> np.ndarray:
    rng = np.random.default_rng(seed)
    layers = [(6, 60.0), (16, 40.0), (40, 30.0)]
    grey = sum(
        weight * cv2.resize(rng.standard_normal((cells, cells)), (width, height), interpolation=cv2.INTER_CUBIC)
        for cells, weight in layers
    )
    return np.clip(128 + grey, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray]:
    """``picture(seed, width=120, height=140)``: uint8 (height, width), another picture for another seed."""
    return _picture
