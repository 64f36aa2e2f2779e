"""`verify`: read everything again and say what is damaged."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from flows.cli.errors import Exit, leave
from flows.cli.options import WORKSPACE, Json, WorkspacePath
from flows.console import say
from flows.workspace import existing

What = Annotated[
    str,
    typer.Argument(help="Run, data set version or bundle (a unique prefix will do), `last`, or `all`.", metavar="WHAT"),
]
SetAside = Annotated[
    bool, typer.Option("--set-aside", help="Rename what is damaged, so that the command that made it makes it anew.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(verify)


def verify(
    what: What = "all", workspace: WorkspacePath = WORKSPACE, move: SetAside = False, as_json: Json = False
) -> None:
    """Hash every file of runs, data sets and classifiers and compare it with what was written. Exit code 1: damaged."""
    from flows.verify import verify as look

    place = existing(workspace)
    verdicts = []
    for verdict in look(place, what, move=move):
        verdicts.append(verdict)
        name = verdict.path.relative_to(place.path)
        if not as_json and (verdict.wrong or verdict.unknown):
            moved = f"; set aside as {verdict.set_aside.name}" if verdict.set_aside else ""
            state = "DAMAGED" if verdict.wrong else "unknown"
            say(f"{state}  {name}: {verdict.unknown or '; '.join(verdict.wrong)}{moved}")
    damaged = [verdict for verdict in verdicts if verdict.wrong]
    if as_json:
        lines = [
            {"path": str(each.path), "wrong": each.wrong, "unknown": each.unknown, "set_aside": each.set_aside}
            for each in verdicts
        ]
        typer.echo(json.dumps(lines, indent=2, default=str))
    else:
        unknown = sum(verdict.unknown is not None for verdict in verdicts)
        said = f", {unknown} of which nothing can be said" if unknown else ""
        say(f"{len(verdicts)} folders and artifacts read, {len(damaged)} damaged{said}")
        if damaged and not move:
            say("next    cxr-audit verify --set-aside, then the command that made them")
    leave(Exit.ERROR if damaged else Exit.OK)
