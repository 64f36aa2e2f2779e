"""Worker processes end with the process that started them, even when that is killed."""

from __future__ import annotations

import os
from multiprocessing import connection, parent_process
from threading import Thread


def end_with_parent() -> None:
    """End this process as soon as its parent has gone: for the initializer of a pool of spawned processes.

    A worker of `ProcessPoolExecutor` waits for work at a pipe that it holds open itself: it would wait for ever.
    """
    parent = parent_process()
    if parent is not None:
        Thread(target=_follow, args=(parent.sentinel,), daemon=True, name="end with parent").start()


def _follow(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
