"""`cleanse`: a plan and the cleansed version that follows from it, without training anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    RunArgument,
    Workers,
    WorkspacePath,
    use_database,
)
from flows.console import cell, resumable, say
from flows.workspace import Workspace

if TYPE_CHECKING:
    from flows.cleanse import Cleansed
    from pipeline.cleanse import Plan

PlanPath = Annotated[
    Path | None,
    typer.Option("--plan", help="A plan.yaml that you edited, instead of the run's own.", exists=True, dir_okay=False),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only make the plan and say what it would change.")]


def register(app: typer.Typer) -> None:
    """Add this file's command to the application."""
    app.command()(cleanse)


def cleanse(
    run_id: RunArgument,
    plan: PlanPath = None,
    accept: Accept = PolicyName.none,
    workspace: WorkspacePath = WORKSPACE,
    database: Database = None,
    device: Device = DeviceName.auto,
    workers: Workers = 2,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Fill what was accepted, in all classes alike, as plan.yaml of the run says; edit that file to change it."""
    from flows.settings import configure_prefect

    use_database(database)
    workspace = workspace.resolve()
    run = Workspace(workspace).run(run_id)
    configure_prefect(workspace)
    from flows.cleanse import cleanse as flow
    from pipeline.cleanse import Plan

    for given in (plan, run / "plan.yaml"):
        if given is not None and given.exists():
            Plan.read(given)  # a mistake in it is told before any work
    with resumable():
        result = flow(run, plan and plan.resolve(), accept.value, device.value, dry_run, workers)
    if as_json:
        typer.echo(json.dumps(result.model_dump(mode="json"), indent=2))
    else:
        _print(result, Plan.read(result.plan))


def _print(result: Cleansed, plan: Plan) -> None:
    console = Console()
    lines = Table(
        "policy", "what", "finding", "decided by", "in lungs", *map(cell, plan.impact), box=None, header_style="bold"
    )
    for line in plan.lines:
        what = line.kind if line.text is None else f"{line.kind} {line.text}"
        counts = [f"{line.regions.get(name, 0):,}" for name in plan.impact]
        lines.add_row(*map(cell, (line.policy, what, line.finding, line.decided_by, line.in_lungs, *counts)))
    console.print(lines)
    console.print()
    console.print(_impact(result, plan))
    console.print()
    for sentence in _words(result, plan):
        console.print(f"[bold]•[/] {cell(sentence)}", highlight=False, soft_wrap=True)
    say(f"plan     {result.plan}")
    if result.version is not None:
        say(f"version  {result.version}")


def _impact(result: Cleansed, plan: Plan) -> Table:
    table = Table(
        *("class", "images changed", "of", "regions", "pixels", "share", "inside lungs", "held back"),
        box=None,
        header_style="bold",
    )
    for name, count in plan.impact.items():
        inside = "unknown" if count.in_lungs is None else f"{count.in_lungs:,}"
        numbers = (count.images, count.of, count.regions, count.pixels)
        row = (name, *(f"{n:,}" for n in numbers), f"{count.share:.3%}", inside, f"{count.held_back:,}")
        table.add_row(*map(cell, row))
    for name, made in sorted((result.changed or {}).items(), key=lambda item: list(plan.impact).index(item[0])):
        inside = "unknown" if made["in_lungs"] is None else f"{made['in_lungs']:,}"
        cells = (f"{made['images']:,}", f"{made['of']:,}", "", f"{made['pixels']:,}")
        table.add_row(cell(f"{name} + decoys"), *cells, f"{made['share']:.3%}", inside, "")
    return table


def _words(result: Cleansed, plan: Plan) -> list[str]:
    reasons = {
        "in-lungs": "lie in the lungs",
        "lungs-unknown": "lie on images whose lungs were not found",
        "review": "are left for review by the plan",
    }
    words = [
        f"{count:,} regions {reasons[name]}: not touched, listed in {result.run / 'held_back.parquet'}."
        for name, count in result.held_back.items()
    ]
    if set(result.held_back) & {"in-lungs", "lungs-unknown"}:
        words.append("To fill them after all, set `in_lungs: allow` in their line of the plan and repeat the command.")
    own = plan.exceptions
    for told, counts in (("removed", own.removed), ("kept", own.kept), ("left for another look", own.review)):
        if sum(counts.values()):
            words.append(f"{_by_class(counts)} regions are {told} by a decision about each, other than by the lines.")
    words += own.warnings
    if plan.edited:
        words.append("A person edited this plan; delete it to have it made anew from the decisions.")
    if plan.normalises:
        words.append("One neutral marker is drawn in every image: which side is left can no longer be read off it.")
    return words


def _by_class(counts: Mapping[str, int]) -> str:
    return f"{sum(counts.values()):,} ({', '.join(f'{name} {count:,}' for name, count in counts.items())})"
