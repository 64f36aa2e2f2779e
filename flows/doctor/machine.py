"""Processor, memory, limits of the operating system, locale."""

from __future__ import annotations

import locale
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from flows.doctor.check import Check, Place, checked, skipped

_MEMORY = 4e9
_FILES = 1024
_SHARED = 64e6
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def checks(_: Place) -> Iterator[Check]:
    """What an audit needs of the machine."""
    yield _processors()
    yield _memory()
    files, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield checked(
        "machine", "open files", files >= _FILES, f"limit {files}, at most {hard}", "ulimit -n 4096", "warning"
    )
    yield _shared_memory(Path("/dev/shm"))  # noqa: S108 - looked at, not written
    yield _encoding()


def _processors() -> Check:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS")
    if asked is not None and not (asked.isdigit() and int(asked) > 0):
        return checked("machine", "processor", False, f"OMP_NUM_THREADS={asked!r}", "unset it, or give a number")
    more = asked is not None and int(asked) > usable
    found = f"{usable} cores usable" + (f", OMP_NUM_THREADS={asked}" if asked else "")
    return checked("machine", "processor", not more, found, "unset OMP_NUM_THREADS: threads would queue", "warning")


def _memory() -> Check:
    memory = psutil.virtual_memory()
    limit = _CGROUP.read_text().strip() if _CGROUP.exists() else "max"
    total = min(memory.total, int(limit)) if limit.isdigit() else memory.total
    free = min(memory.available, total)
    found = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB available"
    return checked("machine", "memory", free >= _MEMORY, found, "use --workers 1, or another machine", "warning")


def _shared_memory(place: Path) -> Check:
    if not place.is_dir():
        return skipped("machine", "shared memory", f"no {place} here")
    free = shutil.disk_usage(place).free
    fix = "give the container more (docker run --shm-size 256m)"
    return checked("machine", "shared memory", free >= _SHARED, f"{free / 1e6:.0f} MB free", fix, "warning")


def _encoding() -> Check:
    names = (sys.getfilesystemencoding(), locale.getpreferredencoding(do_setlocale=False))
    good = all(name.lower().replace("-", "") == "utf8" for name in names)
    return checked(
        "machine", "UTF-8", good, f"file names {names[0]}, text {names[1]}", "set LANG=C.UTF-8 or PYTHONUTF8=1"
    )
