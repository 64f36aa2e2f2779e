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


@contextmanager
def server_dies_with_us() -> Iterator[None]:
    """While the block runs, have the embedded server stopped should this process end; nothing where there is none."""
    pid = _server()
    if pid is None:
        yield
        return
    with dies_with_us(pid):
        yield


@contextmanager
def dies_with_us(pid: int) -> Iterator[None]:
    """While the block runs, have process `pid` terminated should this one end."""
    # A session of its own: an interrupt of the whole group must not end it before the server.
    command = [sys.executable, "-S", "-E", __file__, str(pid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as watcher:  # noqa: S603 - this file
        try:
            yield
        finally:
            watcher.terminate()


def _server() -> int | None:
    from prefect.server.api.server import SubprocessASGIServer

    running = (each.server_process for each in SubprocessASGIServer._instances.values() if each.running)
    return next((process.pid for process in running if process is not None), None)


def _watch(pid: int) -> None:
    sys.stdin.read()  # until its owner has gone
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


if __name__ == "__main__":
    _watch(int(sys.argv[1]))
