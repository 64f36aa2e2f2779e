"""`schedule` and `schedules`: audits that run by themselves."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from flows.cli.audits import audit_request
from flows.cli.options import (
    WORKSPACE,
    Cluster,
    DataRoot,
    Device,
    DeviceName,
    FailOnOption,
    Json,
    ManifestArgument,
    ModelPath,
    Preset,
    PresetName,
    Seed,
    SpecPath,
    Workers,
    WorkspacePath,
)
from flows.console import cell, say

if TYPE_CHECKING:
    from flows.gate import Condition

app = typer.Typer(help="Audits that run by themselves.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Of the schedule.", metavar="NAME")]


def register(app_: typer.Typer) -> None:
    """Add this file's commands to the application."""
    app_.command()(schedule)
    app_.add_typer(app, name="schedules")


def schedule(
    manifest: ManifestArgument,
    cron: Annotated[
        str | None, typer.Option("--cron", help='Minute, hour, day, month, weekday: "0 2 * * *" is every night at two.')
    ] = None,
    interval: Annotated[str | None, typer.Option("--interval", help="Instead of --cron: 30m, 6h, 1d.")] = None,
    timezone: Annotated[str, typer.Option("--timezone", help="IANA name, such as Europe/Berlin.")] = "UTC",
    name: Annotated[
        str | None, typer.Option("--name", help="The manifest's by default. A schedule of that name is changed.")
    ] = None,
    data_root: DataRoot = None,
    workspace: WorkspacePath = WORKSPACE,
    preset: Preset = PresetName.standard,
    model: ModelPath = None,
    spec: SpecPath = None,
    seed: Seed = 0,
    device: Device = DeviceName.auto,
    workers: Workers = 2,
    cluster: Cluster = None,
    fail_on: FailOnOption = None,
) -> None:
    """Audit a data set at set times: what is new or changed since the last audit, and what drifted.

    `cxr-audit serve` has to run at those times.
    """
    from flows.prefect_api import connect
    from flows.schedules import check, timing
    from flows.schedules import schedule as create
    from flows.settings import configure_prefect

    configure_prefect(workspace.resolve())  # before Prefect is imported, which checks need
    # Its runs have another working directory.
    manifest = str(Path(manifest).resolve()) if Path(manifest).is_file() else manifest
    request = audit_request(manifest, data_root, workspace, preset, model, spec, seed, device, workers, cluster, True)
    conditions: tuple[Condition, ...] = tuple(each.value for each in fail_on or ())
    when, dataset = timing(cron, interval, timezone), check(request, conditions)
    connect(workspace.resolve())
    there = create(name or dataset, request, when, conditions)
    say(f"{name or dataset}  {'changed' if there else 'created'}: {interval or cron} {timezone}")


@app.command("list")
def listed(workspace: WorkspacePath = WORKSPACE, as_json: Json = False) -> None:
    """All schedules, when they are due, and how their last runs ended."""
    from flows.prefect_api import connect
    from flows.schedules import schedules

    connect(workspace.resolve())
    found = schedules()
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found], indent=2, default=datetime.isoformat))
        return
    table = Table("name", "manifest", "when", "next (UTC)", "last run ended (UTC)", box=None)
    for each in found:
        due = _time(each.next) if each.next else "being planned"
        last = f"{_time(each.ended)}  {each.last}: {each.words}" if each.ended else "-"
        table.add_row(*map(cell, (each.name, each.manifest, each.when, due if each.active else "paused", last)))
    Console().print(table if found else "There is no schedule.")


@app.command()
def pause(name: Name, workspace: WorkspacePath = WORKSPACE) -> None:
    """Let nothing of a schedule run by itself until it is resumed."""
    from flows.prefect_api import connect
    from flows.schedules import pause

    connect(workspace.resolve())
    pause(name)
    say(f"{name}  paused")


@app.command()
def resume(name: Name, workspace: WorkspacePath = WORKSPACE) -> None:
    """Let a paused schedule go on."""
    from flows.prefect_api import connect
    from flows.schedules import resume

    connect(workspace.resolve())
    resume(name)
    say(f"{name}  resumed")


@app.command()
def delete(name: Name, workspace: WorkspacePath = WORKSPACE) -> None:
    """Delete a schedule. What its runs left in the workspace stays."""
    from flows.prefect_api import connect
    from flows.schedules import delete

    connect(workspace.resolve())
    delete(name)
    say(f"{name}  deleted")


def _time(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d %H:%M}" if when else "-"
