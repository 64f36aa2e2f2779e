"""Time and peak memory of one call, by the means each platform has."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")

MEMORY_MEANS = {
    "cuda": "largest memory allocated by torch on the GPU during the call, minus what was allocated before",
    "cpu": "growth of the process's peak resident memory during the call (Linux: VmHWM, reset before it; what earlier "
    "calls had freed is given back to the system first)",
}
"""What `Cost.peak_bytes` is on each kind of device."""


@dataclass
class Cost:
    """Wall time in seconds, and peak memory in bytes as `MEMORY_MEANS` says; None where it cannot be had."""

    seconds: float = 0.0
    peak_bytes: int | None = None


@contextmanager
def measured(device: torch.device) -> Iterator[Cost]:
    """Fill the yielded `Cost` when the block ends; work queued on a GPU is waited for."""
    cost = Cost()
    before = _start(device)
    began = time.perf_counter()
    yield cost
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    cost.seconds = time.perf_counter() - began
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _status("VmHWM")
    cost.peak_bytes = None if before is None or peak is None else max(peak - before, 0)


def _start(device: torch.device) -> int | None:
    """Bytes in use now; from here on the peak counts anew."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    _give_back_freed_memory()
    try:
        _RESET.write_text("5")
    except OSError:  # not Linux, or not allowed: the peak so far would be reported as this call's
        return None
    return _status("VmRSS")


def _give_back_freed_memory() -> None:
    """What the C library keeps of freed memory would be used again without the process growing (glibc only)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _status(key: str) -> int | None:
    if not _STATUS.exists():
        return None
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines() if ":" in line)
    return int(lines[key].split()[0]) * 1024 if key in lines else None
