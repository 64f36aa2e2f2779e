"""Time and memory of a call, not of what was before it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.benchmark.cost import measured

CPU = torch.device("cpu")
needs_linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no /proc to read the peak from")


def test_time_is_wall_time():
    with measured(CPU) as cost:
        time.sleep(0.05)
    assert 0.05 <= cost.seconds < 1


@pytest.mark.slow
@needs_linux
def test_memory_is_the_peak_of_the_call_alone():
    before = np.ones(50_000_000)
    del before
    with measured(CPU) as small:
        pass
    with measured(CPU) as large:
        held = np.ones(25_000_000)  # 200 MB, gone again before the end
        del held
    assert small.peak_bytes is not None
    assert small.peak_bytes < 20e6
    assert large.peak_bytes is not None
    assert 190e6 < large.peak_bytes < 260e6


@pytest.mark.slow
@needs_linux
def test_memory_used_again_still_counts():
    """Small pieces stay with the C library when they are freed, and the next call would grow by nothing."""
    for _ in range(2):
        with measured(CPU) as cost:
            pieces = [np.ones(1000) for _ in range(10_000)]  # 80 MB
            del pieces
    assert cost.peak_bytes is not None
    assert cost.peak_bytes > 70e6


def test_unknown_memory_is_null(monkeypatch, tmp_path):
    monkeypatch.setattr("pipeline.benchmark.cost._RESET", tmp_path / "absent" / "clear_refs")
    with measured(CPU) as cost:
        pass
    assert cost.peak_bytes is None
