"""`doctor`: is everything there that an audit needs?"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.errors import Exit, leave
from flows.cli.options import WORKSPACE, Database, DataRoot, Json, WorkspacePath, use_database
from flows.console import say

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


def register(app: typer.Typer) -> None:
    """Add this file's command to the application."""
    app.command()(doctor)


def doctor(
    workspace: WorkspacePath = WORKSPACE,
    data_root: DataRoot = None,
    database: Database = None,
    as_json: Json = False,
    every: Annotated[bool, typer.Option("--all", help="Show what is fine as well.")] = False,
) -> None:
    """Check decoders, GPU, disk, permissions, Prefect, database and versions; say how to fix what is found.

    Changes nothing. Exits with 1 when there is a problem; warnings are told and pass.
    """
    from flows.doctor import Place, examine

    use_database(database)
    checks = examine(Place(Path(workspace), data_root))
    counts = Counter(check.status for check in checks)
    if as_json:
        typer.echo(json.dumps({"counts": counts, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        for check in checks:
            if every or check.status != "ok":
                typer.secho(f"{check.status:<8}", fg=_COLOURS[check.status], nl=False)
                say(f" {check.group}, {check.name}: {check.found}")
                if check.fix:
                    say(f"         -> {check.fix}")
        say(f"{counts['ok']} ok, {counts['warning']} warnings, {counts['problem']} problems")
    leave(Exit.ERROR if counts["problem"] else Exit.OK)
