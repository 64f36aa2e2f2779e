"""`decide` and `decisions`: what people decide about a run's findings, without the page."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.table import Table

from flows.cli.options import WORKSPACE, Database, RunArgument, WorkspacePath
from flows.console import cell, say
from flows.workspace import Workspace, review_database
from pipeline.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from pipeline.review.store import Store

Value = TypeVar("Value", bound=BaseModel)


class Form(StrEnum):
    """Of an export."""

    csv = "csv"
    json = "json"
    coco = "coco"


app = typer.Typer(no_args_is_help=True, help="What people decided about a run.")


def register(root: typer.Typer) -> None:
    """Add this file's commands to the application."""
    root.command()(decide)
    root.add_typer(app, name="decisions")


def decide(
    run_id: RunArgument,
    finding: Annotated[str, typer.Argument(help="Finding id, as in the report.")],
    decision: Annotated[str, typer.Argument(help="accepted, rejected, keep or unsure.")],
    reviewer: Annotated[str, typer.Option("--reviewer", help="Who decides.", envvar="USER")] = "unknown",
    comment: Annotated[str, typer.Option("--comment", help="Why.")] = "",
    workspace: WorkspacePath = WORKSPACE,
    database: Database = None,
) -> None:
    """Record a person's decision about one finding. Later decisions supersede earlier ones."""
    from pipeline.review.store.decisions import decide as record
    from pipeline.review.values import VERDICTS, Actor, DecisionRequest

    if decision not in VERDICTS:
        raise InputError(f"unknown decision {decision!r}. {did_you_mean(decision, VERDICTS)}")
    with _opened(run_id, workspace, database) as (store, run):
        about = {"key": uuid.uuid4().hex, "target": {"finding": finding}, "verdict": decision, "comment": comment}
        actor, request = _checked(Actor, name=reviewer, role="reviewer"), _checked(DecisionRequest, **about)
        with store.writing() as session:
            record(session, run.name, actor, request)
    say(f"{finding}: {decision} by {reviewer}")


@app.command("list")
def list_decisions(run_id: RunArgument, workspace: WorkspacePath = WORKSPACE, database: Database = None) -> None:
    """Show what is in force: one line a finding, and how many regions were decided by themselves."""
    from flows.review.frozen import review_in

    with _opened(run_id, workspace, database) as (store, run):
        review = review_in(store, run)
    table = Table("finding", "decision", "by", "when", "comment", box=None, header_style="bold")
    for each in review.findings.values():
        row = (each.finding, each.decision, ", ".join(each.reviewers), each.time, each.comment)
        table.add_row(*map(cell, row))
    Console().print(table)
    for verdict, count in review.regions["verdict"].value_counts().sort_index().items():
        say(f"{count:,} regions {verdict} by themselves")


@app.command()
def export(
    run_id: RunArgument,
    form: Annotated[Form, typer.Option("--format", help="csv, json: every decision; coco: regions with verdicts.")],
    out: Annotated[Path, typer.Option("--out", help="File to write.", dir_okay=False)],
    workspace: WorkspacePath = WORKSPACE,
    database: Database = None,
) -> None:
    """Write all decisions, superseded ones too, as CSV or JSON, or the regions with their verdicts as COCO."""
    from pipeline.artifacts import write_text

    with _opened(run_id, workspace, database) as (store, run):
        write_text(out, _exported(store, run, form))
    say(str(out))


@contextmanager
def _opened(run_id: str, workspace: Path, database: str | None) -> Iterator[tuple[Store, Path]]:
    """The review's database, with the run in it."""
    from flows.review.frozen import enter
    from pipeline.review.store import open_store

    run = Workspace(workspace.resolve()).run(run_id)
    store = open_store(database or review_database(workspace.resolve()))
    try:
        enter(store, run)
        yield store, run
    finally:
        store.dispose()


def _checked(model: type[Value], **values: Any) -> Value:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise InputError(f"This cannot be recorded: {wrong}.") from error


def _exported(store: Store, run: Path, form: Form) -> str:
    from flows.review.coco import coco
    from pipeline.review.store.exports import decisions_csv, decisions_json
    from pipeline.review.store.ruled_regions import ruled_regions

    with store.reading() as session:
        if form is Form.csv:
            return decisions_csv(session, run.name)
        if form is Form.json:
            return json.dumps(decisions_json(session, run.name), indent=2, ensure_ascii=False) + "\n"
        regions = ruled_regions(session, run.name)
    return json.dumps(coco(run, regions), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
