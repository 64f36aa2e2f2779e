"""`diff`: what two versions of a data set do not share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import WORKSPACE, Json, WorkspacePath
from flows.cli.versions import VersionArgument, find_version
from flows.console import printable, progress, say, shown
from flows.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Add this file's command to the application."""
    app.command()(diff)


def diff(
    before: VersionArgument,
    after: VersionArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Page with the most changed images side by side (HTML).", dir_okay=False),
    ] = None,
    limit: Annotated[int, typer.Option("--pairs", min=1, max=200, help="Pairs of pictures on the page.")] = 12,
    workspace: WorkspacePath = WORKSPACE,
    as_json: Json = False,
) -> None:
    """Which images changed, were added or are missing between two data set versions; counts by class, split, source."""
    from pipeline.artifacts import write_text
    from pipeline.dataset import DatasetVersion
    from pipeline.export import diff_markdown, diff_versions, render_diff

    home = Workspace(workspace)
    first, second = (DatasetVersion(find_version(home, name)) for name in (before, after))
    with shown():
        found = diff_versions(first, second, progress=progress())
    if out is not None:
        write_text(out, render_diff(found, first, second, limit))
        say(f"page {out}", err=True)
    typer.echo(json.dumps(found.to_dict(), indent=2) if as_json else printable(diff_markdown(found)))
