"""Work that falls into parts, and who does the parts: this process, several, or the workers of a cluster.

A stage says what its parts are and puts their results together; it does not know where they are done. A part is done
by any worker, in any order, any number of times (a worker may die after finishing one), always with the same bytes:
what is computed together (a batch) lies within one part.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts import content_hash
from pipeline.errors import CxrAuditError
from pipeline.logs import Carried, carried, timed
from pipeline.orphans import end_with_parent

_log = logging.getLogger("cxr_audit.parts")


class Part(Protocol):
    """One part of a piece of work: a small frozen dataclass of paths, numbers and settings, which is sent to workers.

    What several parts need (a data set, a network) is opened once a process, not sent along. One that runs decoders on
    files of unknown origin says ``may_die = True``: it is not done in the process that asks for it, where there is
    another one.
    """

    @property
    def needs(self) -> tuple[Path, ...]:
        """Files and folders that it reads."""

    @property
    def target(self) -> Path:
        """The file or folder that it leaves, written whole and last: its presence says that the part is done."""

    @property
    def network(self) -> bool:
        """Whether a network runs in it. Such a part goes where a GPU is, if there is one."""

    def do(self) -> None:
        """Leave `target` on disk, and nothing else."""


class Spread(Protocol):
    """Has parts done."""

    def __call__(self, parts: Sequence[Part]) -> Iterator[None]:
        """Do the parts whose target is not there; yields once for each, when it is done, in any order."""


class WorkerDiedError(CxrAuditError):
    """A process that did a part died: by a decoder's crash, or for lack of memory."""


P = TypeVar("P", bound=Part)


def undone(parts: Sequence[P]) -> list[P]:
    """The parts whose target is not there."""
    return [part for part in parts if not part.target.exists()]


def here(parts: Sequence[Part]) -> Iterator[None]:
    """A `Spread` that does one part after the other in this process."""
    for part in undone(parts):
        do(part)
        yield


def processes(workers: int) -> Spread:
    """A `Spread` over `workers` processes of this machine, but for networks: their threads use all cores from here.

    What may die of its files is never done in this process, however little of it there is. A process that dies raises
    `WorkerDiedError`.
    """

    def spread(parts: Sequence[Part]) -> Iterator[None]:
        todo = undone(parts)
        few = workers == 1 or len(todo) < 2
        if (few and not any(map(_may_die, todo))) or any(part.network for part in todo):
            yield from here(todo)
            return
        with _pool(min(workers, len(todo))) as pool:
            for finished in as_completed([pool.submit(do, part) for part in todo]):
                finished.result()
                yield

    return spread


def _may_die(part: Part) -> bool:
    return bool(getattr(part, "may_die", False))


def spread_blocks(
    rows: NDArray[np.int64],
    size: int,
    part_of: Callable[[NDArray[np.int64], Path], P],
    folder: Path,
    spread: Spread,
    told: Callable[[int], None],
) -> list[P]:
    """Have one part done for every `size` of `rows`; returns all of them in the order of the rows.

    Args:
        rows: what is worked on.
        size: rows of a part; the last one may have fewer.
        part_of: (its rows, the Parquet file in `folder` that it is to leave) -> the part.
        folder: where parts leave their files; parts that are there already are not done again.
        spread: who does them.
        told: how many rows are done, at first and after every part.
    """
    starts = range(0, len(rows), size)
    parts = [part_of(rows[start : start + size], folder / f"{start:08d}.parquet") for start in starts]
    done = len(parts) - len(undone(parts))
    told(min(done * size, len(rows)))
    for number, _ in enumerate(spread(parts), start=done + 1):
        told(min(number * size, len(rows)))
    return parts


@contextmanager
def parts_of(out: Path, request: object) -> Iterator[Path]:
    """A folder for the parts of `out`, ``<out>.partial/<hash of request>``; goes once `out` is made, stays when not.

    Args:
        out: what is made of the parts.
        request: all that they follow from. Parts of another request, or of older code, must not be continued.
    """
    folder = out.with_name(out.name + ".partial") / content_hash(request)
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    shutil.rmtree(folder.parent)


Mapper = Callable[..., Iterator[Any]]
"""`map` of the standard library: (function, iterable, ...) -> results in order."""


@contextmanager
def mapper(workers: int, *, together: int = 4) -> Iterator[Mapper]:
    """Yield a `map` that spreads its calls over `workers` processes; with 1 it is `map` itself.

    For work whose results are wanted here at once, not kept: it cannot resume, and does not leave this machine.

    Args:
        workers: processes.
        together: calls that are sent to a process in one message.

    Raises:
        WorkerDiedError: a process died, by a decoder's crash or for lack of memory.
    """
    if workers <= 1:
        yield map
        return
    with _pool(workers) as pool:

        def spread(function: Callable[..., Any], *items: Iterable[object]) -> Iterator[Any]:
            return pool.map(function, *items, chunksize=together)

        yield spread


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    # Spawned, not forked: the caller may hold threads (torch, OpenCV, an orchestrator) that a fork would tear.
    with ProcessPoolExecutor(workers, get_context("spawn"), _prepare, (carried(),)) as pool:
        try:
            yield pool
        except BrokenProcessPool as error:
            raise WorkerDiedError(
                "A worker process died while reading images: memory ran out, or a decoder crashed on a damaged file. "
                "Run again with fewer --workers: what was finished is kept. If that dies too, a file there is bad."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)  # after an error nobody waits for the other parts


def _prepare(logs: Carried) -> None:
    """Each process is one core's worth; OpenCV's own threads would only fight over the same cores."""
    import cv2

    cv2.setNumThreads(1)
    end_with_parent()
    logs()


def do(part: Part) -> None:
    """Do a part, with a line in the log when it is done."""
    with timed(_log, "part done", logging.DEBUG, artifact=part.target.name):
        part.do()
