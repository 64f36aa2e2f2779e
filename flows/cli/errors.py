"""How errors reach the person who typed the command: one message, no traceback, the right exit code."""

from __future__ import annotations

import os
from enum import IntEnum

import typer
from rich.markup import escape

from flows.console import printable, stderr
from pipeline.errors import CxrAuditError


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    ERROR = 1
    USAGE = 2
    FINDINGS = 3
    AWAITING_REVIEW = 4


def run_app(app: typer.Typer) -> int:
    """Run the command line and return its exit code.

    `CXR_AUDIT_DEBUG=1` shows tracebacks of expected errors too; unexpected ones are never hidden.
    """
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.OK
    except CxrAuditError as error:
        if os.environ.get("CXR_AUDIT_DEBUG"):
            raise
        return _told(type(error).__name__, str(error))
    except Exception as error:
        trouble = _prefects_trouble(error)
        if trouble is None or os.environ.get("CXR_AUDIT_DEBUG"):
            raise
        where = os.environ.get("PREFECT_API_URL", "the one that this command starts itself")
        return _told(
            "PrefectUnreachable",
            f"Prefect's server, {where}, {trouble} ({type(error).__name__}). What was finished is kept: "
            "see that the server and its database run, and give the same command again.",
        )
    return Exit.OK


def _told(name: str, words: str) -> Exit:
    stderr.print(f"[bold red]{name}[/]: {escape(printable(words))}", soft_wrap=True)
    return Exit.ERROR


def _prefects_trouble(error: BaseException) -> str | None:
    """What is wrong with Prefect's server, where that is what an error says.

    The classes are known by their names: importing Prefect takes seconds. Only its client lets errors of httpx through.
    """
    names = {f"{each.__module__.partition('.')[0]}.{each.__name__}" for each in type(error).__mro__}
    if "httpx.TransportError" in names:
        return "does not answer any more"
    answer = getattr(error, "response", None) if "httpx.HTTPStatusError" in names else None
    if "prefect.ConcurrencySlotAcquisitionError" in names or getattr(answer, "is_server_error", False):
        return "cannot work any more"
    return None


def leave(code: Exit) -> None:
    """End the command with `code`, unless it is OK."""
    if code is not Exit.OK:
        raise typer.Exit(int(code))
