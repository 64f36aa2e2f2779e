"""The length of a gradient: known answers, and the same bits wherever it lies in memory."""

from __future__ import annotations

import numpy as np

from pipeline.flag.steepness import steepness


def test_known_lengths() -> None:
    across, down = np.array([[3, 0]], np.float32), np.array([[4, 2]], np.float32)
    assert steepness(across, down).tolist() == [[5, 2]]


def test_the_same_bits_at_every_place_in_memory() -> None:
    random = np.random.default_rng(0)
    across, down = (random.standard_normal((63, 61)).astype(np.float32) for _ in range(2))
    found = {steepness(placed(across, first), placed(down, second)).tobytes() for first, second in places()}
    assert len(found) == 1


def places() -> list[tuple[int, int]]:
    """Offsets in floats from a cache line's beginning."""
    return [(first, (7 * first) % 16) for first in range(16)]


def placed(values: np.ndarray, offset: int) -> np.ndarray:
    """A copy that begins so many floats after a cache line's beginning."""
    raw = np.empty(values.nbytes + 128, np.uint8)
    start = -raw.ctypes.data % 64 + 4 * offset
    copy = raw[start : start + values.nbytes].view(np.float32).reshape(values.shape)
    copy[...] = values
    return copy
