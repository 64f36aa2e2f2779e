"""`notices`: who is told what about audits, and whether that works."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from flows.cli.errors import Exit, leave
from flows.cli.options import WORKSPACE, WorkspacePath
from flows.console import cell, say, stderr

app = typer.Typer(no_args_is_help=True, help="Notices by webhooks and Prefect events: see docs/operations.md.")


@app.command()
def show(workspace: WorkspacePath = WORKSPACE) -> None:
    """The configuration, without what may be secret."""
    from flows.notices import read_notices
    from flows.notices.config import notices_file, shown_variable

    notices = read_notices(workspace)
    say(f"{notices_file(workspace)}: {len(notices.webhooks)} webhooks")
    for each in notices.webhooks:
        signed = f", signed with {shown_variable(each.secret_from)}" if each.secret_from else ""
        headers = "".join(f", {name} from {shown_variable(each.headers_from[name])}" for name in each.headers_from)
        say(f"{each.name}: {each.format} to {each.shown} on {', '.join(each.on)}{signed}{headers}")


@app.command("test")
def try_out(
    workspace: WorkspacePath = WORKSPACE,
    only: Annotated[str | None, typer.Option("--only", help="Name of the one webhook to try.")] = None,
) -> None:
    """Send a sample of the first kind that each webhook asks for. Exits with 1 when one did not take it."""
    from flows.notices import read_notices
    from flows.notices.config import notices_file
    from flows.notices.sample import send_samples
    from pipeline.errors import InputError, did_you_mean

    notices = read_notices(workspace)
    known = [each.name for each in notices.webhooks]
    if only is not None and only not in known:
        raise InputError(f"No webhook is called {only!r}. {did_you_mean(only, known)}")
    answers = send_samples([each for each in notices.webhooks if only in (None, each.name)])
    table = Table("webhook", "answer")
    for name, problem in answers.items():
        table.add_row(name, "delivered" if problem is None else cell(f"not delivered: {problem}"))
    stderr.print(table if answers else cell(f"No webhook is configured in {notices_file(workspace)}."))
    leave(Exit.ERROR if any(answers.values()) else Exit.OK)
