"""What is on disk about a repair that the review page started.

<workspace>/jobs/<run>/job.json       who started it, when, and where it runs
                       lock           held by the repair itself while it lives
                       progress.json  how far it is, see `flows.progress_file`
                       result.json    its result, as the command prints it
                       log.txt        what it said

The lock is what tells the living from the dead: the repair's process inherits it, so it ends with that process however
it ends, survives the page's server, and no other process that later gets the same number can be taken for it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel

from flows.workspace import Workspace
from pipeline.artifacts import write_text
from pipeline.errors import InputError
from pipeline.storage import storage_errors

HELD = "CXR_AUDIT_REPAIRING"
"""Environment variable of a process that inherited the lock: the folder of the run that it may repair."""


class Record(BaseModel):
    """Who started a repair, and where it runs."""

    by: str
    started: datetime
    how: str
    host: str | None = None
    pid: int | None = None
    """Of a process, which leads a group of its own; null until it has started."""
    flow_run: UUID | None = None
    """Of a flow run; null where the repair is a process of `host`."""
    cancelled_by: str | None = None


def busy(record: Record | None) -> InputError:
    """To be raised by the second of two."""
    if record is None:
        return InputError("A repair of this run is at work. Wait for its end.")
    return InputError(
        f"{record.by} started a repair of this run that is at work since {record.started:%Y-%m-%d %H:%M} UTC "
        f"({record.how}). Wait for its end, or cancel it first."
    )


class Ledger:
    """The files of one run's repair."""

    def __init__(self, run: Path) -> None:
        self.folder = Workspace(run.parent.parent).jobs / run.name
        self.progress = self.folder / "progress.json"
        self.result = self.folder / "result.json"
        self.log = self.folder / "log.txt"
        self.shown_log = self.log.relative_to(self.folder.parents[1])  # people who read it need no path of the server
        self._record = self.folder / "job.json"
        self._lock = self.folder / "lock"

    def record(self) -> Record | None:
        """The last repair that was started, if any."""
        if not self._record.exists():
            return None
        return Record.model_validate_json(self._record.read_text(encoding="utf-8"))

    def write(self, record: Record) -> None:
        """Keep `record`.

        Raises:
            StorageError: the workspace cannot be written.
        """
        write_text(self._record, record.model_dump_json(indent=2) + "\n")

    def clear(self) -> None:
        """Remove what the last repair left, before another is started."""
        for path in (self.progress, self.result, self.log):
            path.unlink(missing_ok=True)

    def ended(self) -> datetime:
        """When the last repair wrote for the last time."""
        written = [p.stat().st_mtime for p in (self.result, self.log, self.progress, self._record) if p.exists()]
        return datetime.fromtimestamp(max(written), UTC)

    def held(self) -> bool:
        """Whether a repair is alive. Those who only look share the lock, so that none takes another for a repair."""
        if not self._lock.exists():
            return False
        descriptor = os.open(self._lock, os.O_RDONLY)
        try:
            return not _taken(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    @contextmanager
    def lock(self) -> Iterator[int | None]:
        """A descriptor that holds the lock, None where a repair does. Given to a child, it outlives the block.

        Raises:
            StorageError: the workspace cannot be written.
        """
        with storage_errors(self._lock):
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            yield descriptor if _taken(descriptor, fcntl.LOCK_EX, tries=10) else None
        finally:
            os.close(descriptor)


def _taken(descriptor: int, way: int, tries: int = 1) -> bool:
    """Whether the lock could be had; `tries` of 20 ms each wait for those who only look."""
    for _ in range(tries):
        try:
            fcntl.flock(descriptor, way | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False
