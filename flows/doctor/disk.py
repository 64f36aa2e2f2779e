"""Can the workspace's file system do what resuming relies on: write, flush, rename, lock, and tell the time?"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from flows.doctor.check import Check, Place, checked, skipped

_FREE = 5e9
_LITTLE = 0.5e9
_TRIED = 32 << 20
_SLOW = 20e6
"""Bytes a second."""
_SKEW = 2.0
"""Seconds."""
_TAKE = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"


def checks(place: Place) -> Iterator[Check]:
    """The workspace, or the folder in which it would be made; then the data root."""
    folder = place.workspace.resolve()
    while not folder.is_dir():
        folder = folder.parent
    made = "" if folder == place.workspace.resolve() else " (the workspace would be made here)"
    free = shutil.disk_usage(folder).free
    yield _space(free, f"{free / 1e9:.1f} GB free in {folder}{made}")
    try:
        with tempfile.TemporaryDirectory(prefix=".cxr-audit-doctor-", dir=folder) as trial:
            yield from _abilities(Path(trial))
    except OSError as error:
        fix = "give a place you may write to with --workspace, or free some space"
        yield checked("disk", "write", False, f"{folder}: {os.strerror(error.errno or 0)}", fix)
    yield _data_root(place.data_root)


def _space(free: int, found: str) -> Check:
    fix = "free some space, or give another place with --workspace"
    return checked("disk", "space", free >= _FREE, found, fix, "problem" if free < _LITTLE else "warning")


def _abilities(folder: Path) -> Iterator[Check]:
    yield _speed(folder)
    fix = "put the workspace on a local disk or a POSIX file system"
    yield checked("disk", "rename", _renames(folder), "a new file replaces an old one as a whole", fix)
    locks = _locks(folder / "lock")
    fix = "mount NFS with local_lock=none and a lock server, or use a local disk: two audits would not see each other"
    yield checked("disk", "lock", locks, "flock keeps other processes out" if locks else "flock keeps nobody out", fix)
    (folder / "now").touch()
    skew = (folder / "now").stat().st_mtime - time.time()
    fix = "set the clocks of this machine and of the file server (NTP)"
    yield checked("disk", "clock", abs(skew) < _SKEW, f"the file system is {skew:+.1f} s off", fix, "warning")
    (folder / "ö").touch()
    names = {entry.name for entry in folder.iterdir()}
    yield checked("disk", "names", "ö" in names, "UTF-8 names stay as they are", "use another file system", "warning")


def _speed(folder: Path) -> Check:
    block, began = os.urandom(1 << 20), time.perf_counter()
    with (folder / "speed").open("wb") as stream:
        for _ in range(_TRIED >> 20):
            stream.write(block)
        stream.flush()
        os.fsync(stream.fileno())
    speed = _TRIED / (time.perf_counter() - began)
    found = f"{_TRIED >> 20} MiB written and flushed at {speed / 1e6:.0f} MB/s"
    return checked("disk", "write", speed >= _SLOW, found, "a faster disk for the workspace saves hours", "warning")


def _renames(folder: Path) -> bool:
    (folder / "old").write_text("old")
    (folder / "new").write_text("new")
    (folder / "new").replace(folder / "old")
    return (folder / "old").read_text() == "new" and not (folder / "new").exists()


def _locks(path: Path) -> bool:
    """Whether another process is refused a lock that this one holds."""
    with path.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        other = [sys.executable, "-c", _TAKE, str(path)]
        return subprocess.run(other, capture_output=True, check=False).returncode != 0  # noqa: S603 - ours


def _data_root(root: Path | None) -> Check:
    if root is None:
        return skipped("disk", "data root", "not asked for (--data-root)")
    readable = root.is_dir() and os.access(root, os.R_OK | os.X_OK)
    return checked("disk", "data root", readable, f"{root}: {'readable' if readable else 'not a readable folder'}",
                   "give the folder that the manifest's paths are relative to, and the right to read it")  # fmt: skip
