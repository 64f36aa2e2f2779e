"""`run`, `demo`, `audit`, `remediate`, `announce`: the commands that run flows or start them elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.errors import Exit, leave
from flows.cli.gate import Gate
from flows.cli.options import (
    WORKSPACE,
    Cluster,
    Database,
    DataRoot,
    Device,
    DeviceName,
    DropAtLeast,
    FailOnOption,
    Grow,
    Json,
    JUnit,
    ManifestArgument,
    ModelPath,
    PolicyName,
    Preset,
    PresetName,
    RunArgument,
    Seed,
    SpecPath,
    Workers,
    WorkspacePath,
    use_database,
)
from flows.console import resumable, say, stderr
from flows.workspace import Workspace

if TYPE_CHECKING:
    from flows.request import AuditRequest
    from flows.results import RunResult

Accept = Annotated[
    PolicyName,
    typer.Option(
        "--accept",
        help="Who accepts findings: `confirmed` takes what the causal test proved; `none` waits for a person.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add this file's commands to the application."""
    for command in (run, demo, audit, remediate, announce):
        app.command()(command)


def run(
    manifest: ManifestArgument,
    data_root: DataRoot = None,
    workspace: WorkspacePath = WORKSPACE,
    preset: Preset = PresetName.standard,
    accept: Accept = PolicyName.confirmed,
    model: ModelPath = None,
    spec: SpecPath = None,
    seed: Seed = 0,
    device: Device = DeviceName.auto,
    workers: Workers = 2,
    cluster: Cluster = None,
    grow: Grow = False,
    fail_on: FailOnOption = None,
    metric_drop_at_least: DropAtLeast = 0.0,
    junit: JUnit = None,
    as_json: Json = False,
) -> None:
    """The whole loop: audit, then repair what the policy accepts, retrain, compare, report."""
    request = audit_request(manifest, data_root, workspace, preset, model, spec, seed, device, workers, cluster, grow)
    gate = Gate(fail_on, metric_drop_at_least, junit)
    gate.ready(request)

    def start() -> RunResult:
        from flows.run import run as flow

        return flow(request, accept=accept.value)

    _finish(_timed(workspace, start), gate, as_json)


def demo(
    workspace: WorkspacePath = WORKSPACE,
    seed: Seed = 0,
    device: Device = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """The whole loop on generated x-rays with a planted PORTABLE stamp. No data, no server, no account."""
    run("phantom", workspace=workspace, preset=PresetName.quick, seed=seed, device=device, as_json=as_json)


def audit(
    manifest: ManifestArgument,
    data_root: DataRoot = None,
    workspace: WorkspacePath = WORKSPACE,
    preset: Preset = PresetName.standard,
    model: ModelPath = None,
    spec: SpecPath = None,
    seed: Seed = 0,
    device: Device = DeviceName.auto,
    workers: Workers = 2,
    cluster: Cluster = None,
    grow: Grow = False,
    fail_on: FailOnOption = None,
    metric_drop_at_least: DropAtLeast = 0.0,
    junit: JUnit = None,
    as_json: Json = False,
) -> None:
    """Ingest, train or load, explain and flag; then wait for a person's decisions (exit code 4)."""
    request = audit_request(manifest, data_root, workspace, preset, model, spec, seed, device, workers, cluster, grow)
    gate = Gate(fail_on, metric_drop_at_least, junit)
    gate.ready(request)

    def start() -> RunResult:
        from flows.audit import audit as flow

        return flow(request)

    _finish(_timed(workspace, start), gate, as_json)


def remediate(
    run_id: RunArgument,
    accept: Accept = PolicyName.none,
    workspace: WorkspacePath = WORKSPACE,
    database: Database = None,
    device: Device = DeviceName.auto,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """From decisions to the report: plan, cleanse, retrain, compare. Resumes where it stopped."""
    use_database(database)
    folder = Workspace(workspace.resolve()).run(run_id)

    def start() -> RunResult:
        from flows.remediate import remediate as flow

        return flow(folder, accept=accept.value, device=device.value, cluster=cluster)

    _finish(_timed(workspace, start), None, as_json)


def announce(
    run_id: RunArgument,
    by: Annotated[str, typer.Option("--by", help="Who says so.", envvar="USER")] = "unknown",
    workspace: WorkspacePath = WORKSPACE,
) -> None:
    """Tell Prefect that a run's review is complete: the event that automations wait for (PREFECT_API_URL)."""
    from flows.review.announce import REVIEW_COMPLETE, announce

    folder = Workspace(workspace.resolve()).run(run_id)
    announce(folder, by)
    say(f"{REVIEW_COMPLETE}  {folder.name}")


def audit_request(
    manifest: str,
    data_root: Path | None,
    workspace: Path,
    preset: PresetName,
    model: Path | None,
    spec: Path | None,
    seed: int,
    device: DeviceName,
    workers: int,
    cluster: str | None,
    grow: bool,
) -> AuditRequest:
    """What the options of `audit` ask for, with absolute paths."""
    from flows.request import AuditRequest

    return AuditRequest(
        manifest=manifest,
        data_root=data_root.resolve() if data_root else None,
        workspace=workspace.resolve(),
        preset=preset.value,
        model=model.resolve() if model else None,
        spec=spec.resolve() if spec else None,
        seed=seed,
        device=device.value,
        workers=workers,
        cluster=cluster,
        grow=grow,
    )


def _timed(workspace: Path, start: Callable[[], RunResult]) -> tuple[RunResult, float]:
    """Run a flow; `start` imports it, because Prefect reads its settings when it is imported."""
    from flows.settings import configure_prefect

    configure_prefect(workspace)
    began = time.perf_counter()
    with resumable():
        result = start()
    return result, time.perf_counter() - began


def _finish(timed: tuple[RunResult, float], gate: Gate | None, as_json: bool) -> None:
    result, seconds = timed
    if as_json:
        typer.echo(json.dumps({**result.model_dump(mode="json"), "seconds": round(seconds, 1)}, indent=2))
    else:
        _print(result, seconds)
    if gate is not None:
        gate.judge(result.run)
    leave(Exit.AWAITING_REVIEW if result.state == "awaiting review" else Exit.OK)


def _print(result: RunResult, seconds: float) -> None:
    stderr.print()
    for line in result.words:
        say(line)
    work = "nothing to do, all was there already" if result.worked == 0 else f"{result.worked} stages worked"
    say(f"{result.state} after {seconds:.0f} s ({work})")
    say(f"report  {result.report}")
    if result.state == "awaiting review":
        from flows.review.address import review_url

        say(f"next    cxr-audit review   and open   {review_url(result.run.name)}")
