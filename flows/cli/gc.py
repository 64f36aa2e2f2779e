"""`gc`: what a workspace could do without, and deleting it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import WORKSPACE, Database, Json, WorkspacePath, use_database
from flows.console import say
from flows.mirror import refuse
from flows.workspace import Workspace, existing

if TYPE_CHECKING:
    from flows.gc import Judged


def register(app: typer.Typer) -> None:
    """Add this file's command to the application."""
    app.command()(gc)


def gc(
    keep_last: Annotated[
        int | None,
        typer.Option(
            "--keep-last", min=1, help="Audits to keep of each data set, besides those accepted or decided about."
        ),
    ] = None,
    older_than: Annotated[float, typer.Option("--older-than", min=0, help="Free only what is older, days.")] = 0,
    delete: Annotated[bool, typer.Option("--delete", help="Delete it; without this nothing is touched.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show what is kept as well, and why.")] = False,
    unreviewed: Annotated[
        bool, typer.Option("--unreviewed", help="No audit was ever reviewed, so there is no database of decisions.")
    ] = False,
    workspace: WorkspacePath = WORKSPACE,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Find what nothing refers to: old versions and models, caches, leftovers of killed processes. A dry run."""
    from flows import gc as collector

    use_database(database)
    refuse(workspace, "gc")
    home = existing(workspace)
    judged = collector.plan(home, keep_last=keep_last, older_than=older_than, unreviewed=unreviewed)
    shown = [each for each in judged if each.free or explain]
    total = sum(each.thing.bytes for each in judged if each.free)
    deleted = collector.delete(home, judged) if delete else []
    if as_json:
        rows = [_record(home, each) for each in shown]
        gone = [thing.path.relative_to(home.path).as_posix() for thing in deleted]
        typer.echo(json.dumps({"things": rows, "free_bytes": total, "deleted": gone}, indent=2))
        return
    for each in shown:
        row = _record(home, each)
        say(f"{'free' if each.free else 'kept'}  {each.thing.bytes / 1e6:10.1f} MB  {row['path']}  ({each.why})")
    free = sum(each.free for each in judged)
    done = f"{len(deleted)} deleted." if delete else "Nothing was deleted: this is a dry run. Delete with --delete."
    say(f"{free} of {len(judged)} things are free, {total / 1e6:.1f} MB. {done}")


def _record(home: Workspace, each: Judged) -> dict[str, object]:
    thing = each.thing
    path = thing.path.relative_to(home.path).as_posix()
    return {"path": path, "kind": thing.kind, "bytes": thing.bytes, "free": each.free, "why": each.why}
