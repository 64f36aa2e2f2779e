"""What a Prefect server knows of us: work pool, deployments, automations, and how many tasks may hold a GPU.

`cxr-audit serve` registers all of it. Deployments name their flows by module, so that any worker which has cxr-audit
installed can run them, whatever its working directory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.automations import Automation
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.deployments.runner import RunnerDeployment
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.exceptions import ObjectAlreadyExists
from prefect.types.entrypoint import EntrypointType

from flows.approval import audit_with_approval
from flows.audit import audit
from flows.benchmark import benchmark
from flows.remediate import remediate
from flows.review.announce import REVIEW_COMPLETE
from flows.run import run

DEPLOYMENT = "served"
POOL = "cxr-audit"
"""The work pool, of type process: flow runs are processes of the machine that its worker is on."""
GPU = "gpu"
"""Tag of the tasks that hold a GPU."""
REPAIR = "cxr-audit: repair when a review is complete"
CRASHED = "cxr-audit: a flow run that went silent has crashed"
SILENCE = timedelta(seconds=120)
"""After how long without a heartbeat. Flow runs send one every 30 s, see `flows.settings`."""


def deployed(flow: Flow[..., Any], name: str, **options: Any) -> RunnerDeployment:
    """A deployment of one of our flows that our workers run; `options` as of `RunnerDeployment.from_flow`."""
    return RunnerDeployment.from_flow(
        flow, name, work_pool_name=POOL, entrypoint_type=EntrypointType.MODULE_PATH, **options
    )


def deployments() -> list[RunnerDeployment]:
    """All flows that a person, an automation or the review page may start, named `<flow>/served`."""
    flows: tuple[Flow[..., Any], ...] = (audit, remediate, run, audit_with_approval, benchmark)
    return [deployed(flow, DEPLOYMENT) for flow in flows]


def repair_when_reviewed(deployment: UUID) -> Automation:
    """An automation that runs a deployment of `remediate` for the run whose review is complete."""
    return Automation(
        name=REPAIR,
        description="Runs `remediate` for the run of the event.",
        trigger=EventTrigger(expect={REVIEW_COMPLETE}, posture=Posture.Reactive, threshold=1, within=timedelta(0)),
        actions=[
            RunDeployment(
                source="selected",
                deployment_id=deployment,
                parameters={"run": {"__prefect_kind": "jinja", "template": "{{ event.payload.run }}"}},
            )
        ],
    )


def crashed_when_silent() -> Automation:
    """An automation for flow runs whose process and worker were killed: nobody else would say that they ended.

    A heartbeat arms it. Whatever the flow run does next disarms it, be it another heartbeat or its end.
    """
    return Automation(
        name=CRASHED,
        description=f"Marks a flow run Crashed that sent nothing for {SILENCE.total_seconds():.0f} s.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.*"},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENCE,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="Its process went silent.")],
    )


def register(gpus: int | None = None) -> None:
    """Make everything known to the configured server, in place of what it knows by the same names.

    Args:
        gpus: how many tasks may hold a GPU at a time; None leaves that as it is.
    """
    asyncio.run(_register(deployments(), gpus))


async def _register(served: Iterable[RunnerDeployment], gpus: int | None) -> None:
    async with get_client() as client:
        await make_pool(client)
        known = {each.flow_name: await each.aapply() for each in served}
        for automation in (repair_when_reviewed(known[remediate.name]), crashed_when_silent()):
            await _install(client, automation)
        if gpus is not None:
            await client.create_concurrency_limit(GPU, gpus)


async def make_pool(client: PrefectClient) -> None:
    """Make the work pool unless it is there."""
    try:
        await client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    except ObjectAlreadyExists:
        return


async def _install(client: PrefectClient, automation: Automation) -> None:
    """In place of the one of its name; one that was switched off stays so."""
    for old in await client.read_automations_by_name(automation.name):
        automation.enabled = old.enabled
        await client.delete_automation(old.id)
    await automation.acreate()
