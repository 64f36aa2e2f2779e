"""Work that falls into parts, and who does the parts: this process, several, or the workers of a cluster.

A stage says what its parts are and puts their results together; it does not know where they are done. A part is done
by any worker, in any order, any number of times (a worker may die after finishing one), always with the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol


class Part(Protocol):
    """One part of a piece of work: a small frozen dataclass of paths, numbers and settings, which is sent to workers.

    What several parts need (a data set, a network) is opened once a process, not sent along.
    """

    @property
    def needs(self) -> tuple[Path, ...]:
        """Files and folders that it reads."""

    @property
    def target(self) -> Path:
        """The file that it leaves, written whole and last: its presence says that the part is done."""

    def do(self) -> None:
        """Leave `target` on disk."""


class Spread(Protocol):
    """Has parts done."""

    def __call__(self, parts: Sequence[Part]) -> Iterator[None]:
        """Do the parts whose target is not there; yields once for each, when it is done, in any order."""


def undone(parts: Sequence[Part]) -> list[Part]:
    """The parts whose target is not there."""
    return [part for part in parts if not part.target.exists()]


def here(parts: Sequence[Part]) -> Iterator[None]:
    """A `Spread` that does one part after the other in this process."""
    for part in undone(parts):
        part.do()
        yield


def processes(workers: int) -> Spread:
    """A `Spread` over `workers` processes of this machine."""

    def spread(parts: Sequence[Part]) -> Iterator[None]:
        todo = undone(parts)
        if workers == 1 or len(todo) < 2:
            yield from here(todo)
            return
        # Spawned, not forked: the caller may hold threads (torch, OpenCV, an orchestrator) that a fork would tear.
        with ProcessPoolExecutor(min(workers, len(todo)), mp_context=get_context("spawn")) as pool:
            for finished in as_completed([pool.submit(_do, part) for part in todo]):
                finished.result()
                yield

    return spread


def _do(part: Part) -> None:
    part.do()
