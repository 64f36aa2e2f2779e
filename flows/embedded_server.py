"""Prefect's embedded server ends with the process that started it, even when that is killed.

Prefect stops it when its process exits, which a killed process does not do. A small process of its own waits for the
end of a pipe that only the flow's process holds, and then stops the server.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_watchers: dict[int, subprocess.Popen[bytes]] = {}


def server_dies_with_us() -> None:
    """Have the embedded server stopped when this process ends, however it ends; nothing where there is none.

    Not only while a flow is at work: one that is terminated still tells the server how it ended, and then this process
    may be gone before Prefect stops its server.
    """
    pid = _server()
    if pid is not None and pid not in _watchers:
        _watchers[pid] = _watcher(pid)


@contextmanager
def dies_with_us(pid: int) -> Iterator[None]:
    """While the block runs, have process `pid` terminated should this one end."""
    with _watcher(pid) as watcher:
        try:
            yield
        finally:
            watcher.terminate()


def _watcher(pid: int) -> subprocess.Popen[bytes]:
    # A session of its own: an interrupt of the whole group must not end it before the server.
    command = [sys.executable, "-S", "-E", __file__, str(pid)]
    return subprocess.Popen(  # noqa: S603 - this file
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _server() -> int | None:
    # Whoever has started a server has imported this; without one it would cost every command two seconds.
    module = sys.modules.get("prefect.server.api.server")
    if module is None:
        return None
    running = (each.server_process for each in module.SubprocessASGIServer._instances.values() if each.running)
    return next((process.pid for process in running if process is not None), None)


def _watch(pid: int) -> None:
    sys.stdin.read()  # until its owner has gone
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


if __name__ == "__main__":
    _watch(int(sys.argv[1]))
