"""One process at a time, with locks that die with their owner.

A lock is a file beside what it guards, held with flock(2): the kernel takes it back however its owner ends. The file
says who holds it, is removed when it is released, and means nothing when a killed owner left it behind.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from pipeline import elsewhere
from pipeline.storage import storage_errors

_LOGGER = logging.getLogger("cxr_audit.locks")
_POLL = 0.1
_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())


def lock_of(target: Path) -> Path:
    """The lock file of `target`."""
    return target.with_name(f".{target.name}.lock")


@contextmanager
def locked(target: Path, doing: str) -> Iterator[None]:
    """Hold the lock of `target` during the block; wait for it, and say for whom, while another process holds it.

    Who waited must look again: the other may have made `target`. Within the block, and in tasks that it starts in
    this process, the lock may be asked for again.

    Args:
        target: file or folder, which need not exist.
        doing: what the holder does, for those who wait: "trains models/demo/0a1b".

    Raises:
        StorageError: the lock's file cannot be written, or its file system knows no locks.
    """
    path = lock_of(target.absolute())
    if path in _held.get():
        yield
        return
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _wait(path)
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "doing": doing}
    _held.set(_held.get() | {path})
    try:
        with storage_errors(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        with elsewhere.reserved(target, doing):
            yield
    finally:
        _held.set(_held.get() - {path})
        path.unlink(missing_ok=True)  # while it is held: who takes an unlinked file notices, see `_taken`
        os.close(descriptor)


def holder_of(target: Path) -> str | None:
    """Who holds the lock of `target`, in words; None: nobody does."""
    try:
        descriptor = os.open(lock_of(target), os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _words(os.pread(descriptor, 4096, 0))
    else:
        return None
    finally:
        os.close(descriptor)


def _wait(path: Path) -> int:
    said = None
    while (descriptor := _taken(path)) is None:
        holder = _read(path)
        if holder not in (None, said):
            _LOGGER.warning("Waiting for %s.", holder)
            said = holder
        time.sleep(_POLL)
    if said is not None:
        _LOGGER.warning("Going on: it has finished, or ended.")
    return descriptor


def _taken(path: Path) -> int | None:
    """A descriptor that holds the lock; None while another process does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _read(path: Path) -> str | None:
    """Who holds it; None where it was released in between."""
    try:
        return _words(path.read_bytes())
    except FileNotFoundError:
        return None


def _words(written: bytes) -> str:
    try:
        holder = json.loads(written)
    except ValueError:  # it has not said who it is yet
        return "another process"
    return f"process {holder['pid']} on {holder['host']}, which {holder['doing']}"
