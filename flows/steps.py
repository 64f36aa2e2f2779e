"""Doing each stage once: what is on disk with the right hash is not made again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pipeline.artifacts import RunFolder

T = TypeVar("T")


class Steps:
    """Counts the stages that had to work and keeps the run's ledger.

    Only the flow's own process records artifacts, so tasks may run anywhere.
    """

    def __init__(self) -> None:
        self.worked = 0
        self._folders: dict[Path, RunFolder] = {}

    def open(self, folder: RunFolder) -> None:
        """Keep the ledger of a run that was just opened."""
        self._folders[folder.path] = folder

    def folder(self, run: Path) -> RunFolder:
        """The ledger of an open run."""
        return self._folders[run]

    def once(self, folder: RunFolder, name: str, key: str, work: Callable[[], object]) -> None:
        """Make artifact `name` of a run unless it is recorded for `key` and unchanged."""
        if not folder.has(name, key):
            work()
            folder.record(name, key)
            self.worked += 1

    def made(self, target: Path, work: Callable[[], Path]) -> Path:
        """Make the immutable folder `target` unless it exists.

        `work` also runs when an attempt was killed after making it and before sweeping up `<target>.*partial`.
        """
        if target.exists() and not any(target.parent.glob(f"{target.name}.*partial")):
            return target
        self.worked += 1
        return work()

    def told(self, answer: tuple[T, int]) -> T:
        """Take the result of a task that says itself how much it had to make."""
        result, made = answer
        self.worked += made
        return result
