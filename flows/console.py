"""What a person sees while a flow runs: one progress line a stage, on stderr. stdout is for results."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from flows.progress_artifacts import progress_artifacts
from flows.progress_file import ENVIRONMENT, ProgressFile
from pipeline.progress import Progress as Callback
from pipeline.progress import silent

stderr = Console(stderr=True)


def printable(text: str) -> str:
    """`text` without control characters, which names of files and headers may hold to steer a terminal."""
    return "".join(each if each.isprintable() or each == "\n" else repr(each)[1:-1] for each in text)


def cell(text: str) -> str:
    """`text` for a table of rich: `printable`, and no markup of its own, which could hide a link."""
    return escape(printable(text))


def say(text: str, *, err: bool = False) -> None:
    """Print a line for people: `printable`, on stdout or stderr. JSON and tables of rich have their own ways."""
    typer.echo(printable(text), err=err)


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._bars:
            self._bars[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._bars[stage], completed=done, total=total)


_current: Callback = silent


def progress() -> Callback:
    """The callback that stages report to: the screen in `shown`, else Prefect in a flow run of a worker."""
    return progress_artifacts() if _current is silent else _current


@contextmanager
def resumable() -> Iterator[None]:
    """`shown`, for a command that goes on where it was interrupted; says so when it is."""
    try:
        with shown():
            yield
    except KeyboardInterrupt:
        stderr.print("[yellow]Interrupted.[/] What was finished is kept: the same command resumes.")
        raise


@contextmanager
def shown() -> Iterator[None]:
    """Show stages' progress on stderr while the block runs, and in the file that `CXR_AUDIT_PROGRESS` names."""
    global _current  # noqa: PLW0603 - one screen per process; tasks run in the caller's thread
    columns = (TextColumn("{task.description:<28}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr, transient=False) as bars:
        _current = _told_to_others(_Bars(bars))
        try:
            yield
        finally:
            _current = silent


def _told_to_others(bars: Callback) -> Callback:
    path = os.environ.get(ENVIRONMENT)
    if not path:
        return bars
    file = ProgressFile(Path(path))

    def both(stage: str, done: int, total: int) -> None:
        bars(stage, done, total)
        file(stage, done, total)

    return both
