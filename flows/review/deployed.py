"""A repair as a flow run of a Prefect deployment, where an API is configured and one of `remediate` is there."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from flows.prefect_api import LIMIT, asked
from flows.review.ledger import Record
from flows.review.trouble import last_error
from pipeline.errors import InputError
from pipeline.review.backend import Job, StageProgress

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

FLOW = "remediate"
_AHEAD = {"SCHEDULED", "PENDING"}
_ENDS: dict[str, Literal["complete", "cancelled"]] = {"COMPLETED": "complete", "CANCELLED": "cancelled"}


def deployment() -> tuple[UUID, str] | None:
    """The first deployment of `remediate` by name that a worker serves: its id and `remediate/<name>`.

    One that is paused is not, nor one that no worker has asked for work lately: its repair would wait for ever.

    Raises:
        InputError: the API does not answer.
    """
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName
    from prefect.client.schemas.objects import DeploymentStatus

    def ask(client: SyncPrefectClient) -> tuple[UUID, str] | None:
        found = client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])), limit=LIMIT)
        served = (each for each in found if not each.paused and each.status == DeploymentStatus.READY)
        usable = sorted((each.name, each.id) for each in served)
        return (usable[0][1], f"{FLOW}/{usable[0][0]}") if usable else None

    return asked(ask)


def launch(deployment_id: UUID, run: Path, device: str) -> UUID:
    """Start a flow run; returns its id.

    Raises:
        InputError: the API does not answer.
    """
    parameters = {"run": str(run), "device": device}
    return asked(lambda client: client.create_flow_run_from_deployment(deployment_id, parameters=parameters).id)


def look(record: Record, flow_run: UUID) -> Job:
    """How the flow run is, or how it ended, as the API tells it."""
    try:
        return asked(lambda client: _job(client, record, flow_run))
    except InputError as error:
        return Job(state="running", started=record.started, by=record.by, how=record.how, words=(str(error),))


def stop(flow_run: UUID) -> None:
    """Ask the worker to stop it; that takes some seconds.

    Raises:
        InputError: the API does not answer.
    """
    from prefect.client.schemas.objects import State, StateType

    asked(lambda client: client.set_flow_run_state(flow_run, State(type=StateType.CANCELLING)))


def _job(client: SyncPrefectClient, record: Record, flow_run: UUID) -> Job:
    found = client.read_flow_run(flow_run)
    state = _state(found)
    ended = found.end_time if state in ("complete", "cancelled", "failed") else None
    return Job(
        state=state,
        started=found.start_time or record.started,
        ended=None if ended is None else datetime.fromisoformat(ended.isoformat()),
        by=record.by,
        how=record.how,
        stages=_stages(client, flow_run),
        words=_words(client, found, state),
        report=state == "complete",
    )


def _state(found: FlowRun) -> Literal["waiting", "running", "complete", "failed", "cancelled"]:
    kind = "PENDING" if found.state is None else found.state.type.value
    if kind in _AHEAD:
        return "waiting"
    if kind in _ENDS:
        return _ENDS[kind]
    return "failed" if kind in ("FAILED", "CRASHED") else "running"


def _stages(client: SyncPrefectClient, flow_run: UUID) -> tuple[StageProgress, ...]:
    """Tasks in the order in which they began; the API knows whether one is done, not how far it is."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run])), limit=LIMIT)
    begun = sorted((task for task in tasks if task.start_time), key=lambda task: (task.start_time, task.name))
    return tuple(
        StageProgress(
            stage=task.name.rsplit("-", 1)[0], done=int(bool(task.state and task.state.is_completed())), total=1
        )
        for task in begun
    )


def _words(client: SyncPrefectClient, found: FlowRun, state: str) -> tuple[str, ...]:
    message = found.state.message if found.state else None
    if state == "waiting":
        return _why_it_waits(client, found)
    if state == "failed":
        return (last_error(message or "") or "It ended without a word. Its log is in Prefect.",)
    if state != "complete":
        return ()
    return _summary(client, found.id) or ((message,) if message else ())


def _why_it_waits(client: SyncPrefectClient, found: FlowRun) -> tuple[str, ...]:
    from prefect.client.schemas.objects import DeploymentStatus

    if found.deployment_id is None or client.read_deployment(found.deployment_id).status == DeploymentStatus.READY:
        return ()
    return ("No worker asks Prefect for work at present. Start `cxr-audit serve` again, or cancel and start anew.",)


def _summary(client: SyncPrefectClient, flow_run: UUID) -> tuple[str, ...]:
    """The sentences of the summary that the flow left; see `flows.tasks.report.publish`."""
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey

    found = client.read_artifacts(
        artifact_filter=ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run]), key=ArtifactFilterKey(any_=["summary"])
        )
    )
    lines = str(found[-1].data).split("\n\n") if found else []
    return tuple(line for line in lines if not line.startswith("# "))
