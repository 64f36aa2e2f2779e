"""`compare`: several repairs of one audited run over the same seeds, ranked by what they give back."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from flows.cli.audits import Accept
from flows.cli.options import (
    WORKSPACE,
    Database,
    Device,
    DeviceName,
    Json,
    PolicyName,
    PresetName,
    RunArgument,
    WorkspacePath,
    use_database,
)
from flows.cli.options import Workers as WorkersOption
from flows.console import cell, resumable, say, stderr
from flows.workspace import Workspace

Repairs = Annotated[
    str | None,
    typer.Option("--repairs", help="Recipe (YAML), or names of shipped repairs with commas between. All by default."),
]
Seeds = Annotated[
    int | None, typer.Option("--seeds", min=3, help="Trainings of each repair; as in the run's settings by default.")
]
TrainPreset = Annotated[
    PresetName | None, typer.Option("--preset", help="Train as this preset does, not as the audited classifier was.")
]
Network = Annotated[str | None, typer.Option("--network", help="Train this network.")]
Epochs = Annotated[int | None, typer.Option("--epochs", min=1, help="At most so many epochs a training.")]
_ON_SCREEN = 5
"""Columns of the table; the AUROCs behind them are on the page."""
_WIDTH = 120
"""Of the table at least: a cut-off interval is worth nothing."""
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done and what it costs.")]


def register(app: typer.Typer) -> None:
    """Add this file's command to the application."""
    app.command()(compare)


def compare(
    run_id: RunArgument,
    repairs: Repairs = None,
    seeds: Seeds = None,
    preset: TrainPreset = None,
    network: Network = None,
    epochs: Epochs = None,
    accept: Accept = PolicyName.none,
    workspace: WorkspacePath = WORKSPACE,
    database: Database = None,
    device: Device = DeviceName.auto,
    workers: WorkersOption = 2,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Try several repairs over the same seeds and rank them by the marker-swapped and other-source tests."""
    from flows.settings import configure_prefect

    use_database(database)
    workspace = workspace.resolve()
    run = Workspace(workspace).run(run_id)
    configure_prefect(workspace)
    from flows.repairs import CompareRequest, comparison_of

    request = CompareRequest(
        run=run,
        repairs=repairs,
        seeds=seeds,
        preset=None if preset is None else preset.value,
        train={name: value for name, value in (("network", network), ("epochs", epochs)) if value is not None},
        accept=accept.value,
        device=device.value,
        workers=workers,
    )
    asked = comparison_of(request)
    for each in asked.recipe.repairs:
        steps = ", ".join(action.action for action in each.actions) or "the data as they are"
        stderr.print(f"{cell(each.name):<34} [dim]{steps}[/]", highlight=False)
    stderr.print(cell(asked.cost), highlight=False)
    if not dry_run:
        _print(_timed(request), as_json)


def _timed(request: Any) -> tuple[Any, float]:
    from flows.repairs import compare_repairs

    began = time.perf_counter()
    with resumable():
        result = compare_repairs(request)
    return result, time.perf_counter() - began


def _print(timed: tuple[Any, float], as_json: bool) -> None:
    result, seconds = timed
    if as_json:
        typer.echo(json.dumps({**result.model_dump(mode="json"), "seconds": round(seconds, 1)}, indent=2))
        return
    console = Console()
    for sentence in result.words:
        console.print(f"[bold]•[/] {cell(sentence)}", highlight=False)
    console.print()
    table = Table(box=None, header_style="bold")
    lines = [line[:_ON_SCREEN] for line in result.table]
    for name in lines[0]:
        table.add_column(cell(name), justify="left" if name in ("", "repair", "says") else "right", no_wrap=True)
    for line in lines[1:]:
        table.add_row(*map(cell, line))
    Console(width=max(console.width, _WIDTH)).print(table)
    work = "nothing to do, all was there already" if result.worked == 0 else f"{result.worked} stages worked"
    say(f"complete after {seconds:.0f} s ({work})")
    say(f"page    {result.page}")
