"""Running one function over many files, in this process or in several, with results in order."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import cv2

from pipeline.errors import CxrAuditError

Mapper = Callable[..., Iterator[Any]]
"""`map` of the standard library: (function, iterable, ...) -> results in order."""

_FILES_A_MESSAGE = 4


@contextmanager
def mapper(workers: int) -> Iterator[Mapper]:
    """Yield a `map` that spreads its calls over `workers` processes; with 1 it is `map` itself.

    Raises:
        CxrAuditError: a process died, by a decoder's crash or for lack of memory.
    """
    if workers <= 1:
        yield map
        return
    # Spawned, not forked: the caller may hold threads (torch, OpenCV, an orchestrator) that a fork would tear.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:

        def spread(function: Callable[..., Any], *items: Iterable[object]) -> Iterator[Any]:
            return pool.map(function, *items, chunksize=_FILES_A_MESSAGE)

        try:
            yield spread
        except BrokenProcessPool as error:
            raise CxrAuditError(
                "A worker process died while reading images: memory ran out, or a decoder crashed on a damaged file. "
                "Run again with fewer --workers: finished shards are kept. If that dies too, a file there is bad."
            ) from error


def _one_thread() -> None:
    cv2.setNumThreads(1)
