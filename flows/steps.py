"""Doing each stage once: what is on disk with the right hash is not made again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from flows.embedded_server import server_dies_with_us
from pipeline import elsewhere
from pipeline.artifacts import REMEDY, RunFolder
from pipeline.errors import IntegrityError
from pipeline.integrity import damage, present, sealed, set_aside
from pipeline.locks import locked
from pipeline.logs import note

T = TypeVar("T")

_log = logging.getLogger("cxr_audit.steps")


class Steps:
    """Counts the stages that had to work, and keeps the run's ledger and its lock while a flow is at work.

    Only the flow's own process records artifacts, so tasks may run anywhere. What an `IntegrityError` that ends the
    flow blames is set aside, so that the same request makes it anew.
    """

    def __init__(self) -> None:
        self.worked = 0
        self._folders: dict[Path, RunFolder] = {}
        self._held = ExitStack()

    def __enter__(self) -> Steps:
        server_dies_with_us()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._held:
            for folder in self._folders.values():
                folder.close()
            damaged = self._damaged(error) if isinstance(error, IntegrityError) else None
            if damaged is not None:
                words = str(error).removesuffix(REMEDY).strip()
                with locked(damaged, f"sets aside {damaged.name}"):
                    place = set_aside(damaged)
                raise IntegrityError(
                    f"{words} {damaged.name} is set aside as {place.name}: the same command makes it anew."
                ) from error

    def open(self, run: Path, request: Mapping[str, Any]) -> RunFolder:
        """Open the run at `run` for `request`, and hold it until this block ends; another process's is waited for."""
        self._held.enter_context(locked(run, f"works on run {run.name}"))
        elsewhere.bring(run)
        self._folders[run] = RunFolder(run, request)
        note(run=run.name)
        return self._folders[run]

    def folder(self, run: Path) -> RunFolder:
        """The ledger of an open run."""
        return self._folders[run]

    def once(self, folder: RunFolder, name: str, key: str, work: Callable[[], object]) -> None:
        """Make artifact `name` of a run unless it is recorded for `key` and unchanged."""
        if not folder.has(name, key):
            if folder.damaged(name, key):
                _log.warning("%s of run %s is not what was recorded: it is made anew.", name, folder.run_id)
            work()
            folder.record(name, key)
            self.worked += 1
            _log.info("artifact made", extra={"artifact": name})
        else:
            _log.info("artifact kept", extra={"artifact": name})
        elsewhere.keep(folder.path)

    def made(self, target: Path, work: Callable[[], Path]) -> Path:
        """Make the immutable folder `target` unless it exists.

        `work` also runs when an attempt was killed after making it and before sweeping up `<target>.*partial`.
        """
        if not present(target) or any(target.parent.glob(f"{target.name}.*partial")):
            self.worked += 1
            target = work()
        elsewhere.keep(target)
        return target

    def told(self, answer: tuple[T, int]) -> T:
        """Take the result of a task that says itself how much it had to make."""
        result, made = answer
        self.worked += made
        return result

    def _damaged(self, error: IntegrityError) -> Path | None:
        """What has to be made anew as a whole: a sealed folder, an artifact of an open run, or the file itself."""
        path = error.path
        if path is None or not path.exists():
            return None
        whole = next((folder for folder in (path, *path.parents) if sealed(folder)), None)
        if whole and not damage(whole, thorough=True):
            return None  # another process has made it anew
        artifacts = (run / path.relative_to(run).parts[0] for run in self._folders if path.is_relative_to(run))
        return whole or next(artifacts, path)
