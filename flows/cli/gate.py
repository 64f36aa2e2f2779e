"""`accept` and `gate`: the audit that later ones are compared with, and whether one passes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.errors import Exit, leave
from flows.cli.options import WORKSPACE, DropAtLeast, FailOn, FailOnOption, Json, JUnit, RunArgument, WorkspacePath
from flows.console import say
from flows.workspace import Workspace, existing
from pipeline.errors import InputError

if TYPE_CHECKING:
    from flows.request import AuditRequest


@dataclass(frozen=True)
class Gate:
    """What `--fail-on`, `--metric-drop-at-least` and `--junit` ask for."""

    fail_on: list[FailOn] | None
    drop_at_least: float
    junit: Path | None

    def ready(self, request: AuditRequest) -> None:
        """Refuse, before hours of work, what could not be judged after them.

        Raises:
            InputError: see `flows.gate.need_accepted`, or the JUnit file can have no place.
        """
        from flows.gate import need_accepted
        from pipeline.ingest import find_manifest

        self._place()
        if self.fail_on:
            need_accepted(Workspace(request.workspace), find_manifest(request.manifest).name, self._conditions)

    def judge(self, run: Path, *, always_told: bool = False) -> None:
        """Say, where there is a condition or `always_told`, what was judged and which checks fail.

        Writes the JUnit file, and leaves with 3 if a check fails.

        All on stderr: stdout may be an audit's JSON.
        """
        from flows.gate import judged, verdict

        self._place()
        found = judged(run, self._conditions, self.drop_at_least, self.junit)
        failed = [each for each in found if each.failure is not None]
        for each in failed:
            say(f"FAILED  {each.group} {each.name}: {each.failure}", err=True)
        for line in verdict(run, found, self._conditions) if self.fail_on or always_told else ():
            say(line, err=True)
        if failed:
            leave(Exit.FINDINGS)

    def _place(self) -> None:
        """Refuse a JUnit file below what is no folder."""
        parents = self.junit.absolute().parents if self.junit is not None else ()
        there = next((parent for parent in parents if parent.exists()), None)
        if there is not None and not there.is_dir():
            raise InputError(f"--junit {self.junit}: {there} is no folder.")

    @property
    def _conditions(self) -> list[str]:
        return [each.value for each in self.fail_on or ()]


def register(app: typer.Typer) -> None:
    """Add this file's commands to the application."""
    app.command()(accept)
    app.command()(gate)


def accept(
    run_id: Annotated[str | None, typer.Argument(help="Run id, a unique prefix, or `last`.", metavar="RUN")] = None,
    by: Annotated[str, typer.Option("--by", help="Who accepts it.", envvar="USER")] = "",
    note: Annotated[str, typer.Option("--note", help="Why.")] = "",
    listed: Annotated[bool, typer.Option("--list", help="Show what is accepted, and what was before.")] = False,
    workspace: WorkspacePath = WORKSPACE,
    as_json: Json = False,
) -> None:
    """Accept an audit: later audits of its data set are compared with it. Who did, and when, is recorded."""
    from flows import acceptance

    home = existing(workspace)
    if run_id is not None and not listed:
        run = home.run(run_id)
        found = {acceptance.dataset_of(run): acceptance.accept(run, by, note)}
    elif listed and run_id is None:
        found = acceptance.all_accepted(home)
    else:
        raise typer.BadParameter("Give either a run to accept, or --list.")
    if as_json:
        typer.echo(json.dumps({name: each.model_dump(mode="json") for name, each in found.items()}, indent=2))
        return
    for name, now in found.items():
        for each in [now, *(reversed(now.history) if listed else ())]:
            words = f"  {each.note}" if each.note else ""
            told = f"{name}  {each.run}  accepted by {each.by} at {each.at:%Y-%m-%d %H:%M} UTC{words}"
            say(told)
    if not found:
        say("No audit is accepted.")


def gate(
    run_id: RunArgument,
    fail_on: FailOnOption = None,
    metric_drop_at_least: DropAtLeast = 0.0,
    junit: JUnit = None,
    workspace: WorkspacePath = WORKSPACE,
) -> None:
    """Judge an audit that is done already by the conditions of --fail-on: exit code 3 when a check fails.

    Without a condition nothing fails, and it says what could be judged.
    """
    run = Workspace(workspace.resolve()).run(run_id)
    Gate(fail_on, metric_drop_at_least, junit).judge(run, always_told=True)
