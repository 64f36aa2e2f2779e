"""Locks between machines: leases in the store, numbered, taken by conditional creation and kept up by a heartbeat.

``.leases/<what>/<number>.json`` is the lease number `number` of something; the highest number is in force. It says who
holds it, and changes with every heartbeat. Whoever sees it unchanged for `PATIENCE` seconds, by a clock of its own,
creates the next number, which only one can. A holder that was given up finds a higher number and keeps nothing more.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil

from flows.mirror.remote import Remote
from pipeline.errors import StorageError

BEAT = 10.0
"""Seconds between heartbeats."""
PATIENCE = 60.0
"""Seconds without a heartbeat after which a holder counts as dead."""
_POLL = 1.0
_log = logging.getLogger("cxr_audit.locks")


class Lease:
    """The right to work on something of a workspace; see `take` and `release`."""

    def __init__(self, remote: Remote, what: str, doing: str) -> None:
        self.what = what
        self.number = 0
        self._remote = remote
        self._folder = f".leases/{what}"
        self._holder = {**_this_process(), "doing": doing}
        self._beats = 0
        self._over = Event()
        self._thread = Thread(target=self._keep_up, name=f"lease of {what}", daemon=True)

    def take(self) -> None:
        """Wait until nobody holds the lease, saying for whom, and hold it."""
        said, seen, since = None, None, time.monotonic()
        while True:
            number, state = self._in_force()
            if (number, state) != seen:
                seen, since = (number, state), time.monotonic()
            if state is None or _is_over(state) or time.monotonic() - since > PATIENCE:
                # The next number may be free because it came and went since we looked: then a higher one is in force.
                if self._remote.create(self._name(number + 1), self._state()) and self._in_force()[0] == number + 1:
                    break
                continue
            if (words := _words(state)) != said:
                _log.warning("Waiting for %s.", words)
                said = words
            time.sleep(_POLL)
        if said is not None:
            _log.warning("Going on: %s has finished or died.", said.split(",")[0])
        self.number = number + 1
        self._remote.remove([name for name in self._remote.names(self._folder) if name < self._name(self.number)])
        self._thread.start()

    def require(self) -> None:
        """Make sure that the lease is still held; to be asked before anything is overwritten.

        Raises:
            StorageError: it was given up and taken by another process.
        """
        number, state = self._in_force()
        if number != self.number:
            raise StorageError(
                f"{self.what}: {_words(state or {})} has taken over, because this process was silent for {PATIENCE:g} "
                "s. Nothing of the other's is overwritten; run again to go on from what it made."
            )

    def release(self) -> None:
        """Let others have it; a lease that was lost is not released."""
        self._over.set()
        self._thread.join()
        if self._in_force()[0] == self.number:
            self._remote.write(self._name(self.number), self._state(over=True))

    def _keep_up(self) -> None:
        while not self._over.wait(BEAT):
            # The store may answer again, a full disk have room; who writes there will say so if not.
            with suppress(StorageError, OSError):
                if self._in_force()[0] != self.number:
                    return
                self._beats += 1
                self._remote.write(self._name(self.number), self._state())

    def _in_force(self) -> tuple[int, dict[str, Any] | None]:
        names = self._remote.names(self._folder)
        if not names:
            return 0, None
        content = self._remote.read(names[-1])
        try:
            state = json.loads(content or b"")
        except ValueError:
            state = {}  # just removed or half-written: somebody's
        return int(Path(names[-1]).stem), state

    def _state(self, *, over: bool = False) -> bytes:
        return json.dumps({**self._holder, "beats": self._beats, "over": over}).encode()

    def _name(self, number: int) -> str:
        return f"{self._folder}/{number:08d}.json"


def _this_process() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pids": _pids(), "pid": os.getpid(), "began": psutil.Process().create_time()}


def _pids() -> str:
    """Tells containers of one host name apart, whose process ids mean different processes."""
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""


def _is_over(state: dict[str, Any]) -> bool:
    """Whether the holder released it, or was a process of this machine that is gone."""
    if state.get("over"):
        return True
    if (state.get("host"), state.get("pids")) != (socket.gethostname(), _pids()):
        return False
    try:
        return bool(abs(psutil.Process(state["pid"]).create_time() - state["began"]) > 1)
    except psutil.NoSuchProcess:
        return True


def _words(state: dict[str, Any]) -> str:
    if "pid" not in state:
        return "another process"
    return f"process {state['pid']} on {state['host']}, which {state['doing']}"
