"""Logs of flows: where they go, how much is said, and what a person sees of them on stderr."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.markup import escape

from flows.console import printable, stderr
from flows.workspace import LOG_ENVIRONMENT, Workspace
from pipeline import logs
from pipeline.errors import InputError, did_you_mean

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def log_level() -> int:
    """`CXR_AUDIT_LOG_LEVEL`, info by default.

    Raises:
        InputError: there is no such level.
    """
    name = os.environ.get(LOG_ENVIRONMENT) or "info"
    if name.lower() not in LEVELS:
        raise InputError(f"{LOG_ENVIRONMENT}={name}: no such level. {did_you_mean(name, LEVELS)}")
    return LEVELS[name.lower()]


@contextmanager
def logged(workspace: Path) -> Iterator[None]:
    """Write logs to `<workspace>/logs/` and our own warnings to stderr while the block runs.

    Raises:
        InputError: `CXR_AUDIT_LOG_LEVEL` names no level.
    """
    ours, person = logging.getLogger(logs.LOGGER), _Person(logging.WARNING)
    with _only_once(), logs.logging_to(Workspace(workspace).logs, log_level()):
        shown = any(isinstance(each, _Person) for each in ours.handlers)
        if not shown:
            ours.addHandler(person)
        try:
            yield
        finally:
            ours.removeHandler(person)


@contextmanager
def _only_once() -> Iterator[None]:
    """Keep our records from Prefect's handlers of the root, which would print each of them across the progress bars."""
    root = logging.getLogger()
    theirs = (each for each in root.handlers if type(each).__module__.startswith("prefect."))
    others = [each for each in theirs if _not_ours not in each.filters]
    for handler in others:
        handler.addFilter(_not_ours)
    try:
        yield
    finally:
        for handler in others:
            handler.removeFilter(_not_ours)


def _not_ours(record: logging.LogRecord) -> bool:
    return not record.name.startswith(logs.LOGGER)


class _Person(logging.Handler):
    """Our warnings for the person who started the command; errors are told once, by the command that they end."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line, above the progress bars."""
        if record.levelno == logging.WARNING and record.name != f"{logs.LOGGER}.warnings":
            stderr.print(f"[yellow]Warning:[/] {escape(printable(record.getMessage()))}", soft_wrap=True)
