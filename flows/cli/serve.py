"""`serve`: a Prefect server and a worker that run what is scheduled."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.options import WORKSPACE, WorkspacePath
from flows.console import stderr

PORT = 4200


def register(app: typer.Typer) -> None:
    """Add this file's command to the application."""
    app.command()(serve)


def serve(
    workspace: WorkspacePath = WORKSPACE,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Of the Prefect server.")] = PORT,
    gpus: Annotated[
        int | None,
        typer.Option("--gpus", min=1, help="Tasks that may hold a GPU at a time; by default its number, or 1."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Flow runs of this worker at a time.")] = None,
) -> None:
    """Run schedules, repairs and whatever is started in Prefect's page, until Ctrl-C.

    Starts a Prefect server on this machine and a worker. Its database is SQLite in the workspace, or the one of
    PREFECT_SERVER_DATABASE_CONNECTION_URL (postgresql://...; by the environment alone, for it may hold a password).
    Where PREFECT_API_URL names a server, only a worker for it is started.
    """
    from flows.serving import Serving
    from flows.serving import serve as run

    asked = Serving(workspace.resolve(), port, gpus, limit)
    run(asked, lambda words: stderr.print(words, markup=False, highlight=False, soft_wrap=True))
