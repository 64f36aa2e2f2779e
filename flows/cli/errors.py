"""How errors reach the person who typed the command: one message, no traceback, the right exit code."""

from __future__ import annotations

import os
from enum import IntEnum

import typer
from rich.markup import escape

from flows.console import stderr
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
        stderr.print(f"[bold red]{type(error).__name__}[/]: {escape(str(error))}", soft_wrap=True)
        return Exit.ERROR
    return Exit.OK


def leave(code: Exit) -> None:
    """End the command with `code`, unless it is OK."""
    if code is not Exit.OK:
        raise typer.Exit(int(code))
