"""The flows as Prefect deployments, served from this process: `python -m flows.deployments`.

Needs a Prefect server (PREFECT_API_URL). Every flow run is a process of its own here, and several machines may serve
the same names if they share the workspace. The automation `AUTOMATION` repairs a run when its review is said to be
done, see `flows.review.announce`.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

from prefect import serve
from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.deployments.runner import RunnerDeployment
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.types.entrypoint import EntrypointType

from flows.approval import audit_with_approval
from flows.audit import audit
from flows.remediate import remediate
from flows.review.announce import REVIEW_COMPLETE
from flows.run import run

DEPLOYMENT = "served"
AUTOMATION = "cxr-audit: repair when a review is complete"


def deployments() -> list[RunnerDeployment]:
    """All flows that a schedule, an automation or the review page may start, named `<flow>/served`."""
    flows = (audit, remediate, run, audit_with_approval)
    by_module = EntrypointType.MODULE_PATH  # not by file: any working directory serves
    return [RunnerDeployment.from_flow(flow, DEPLOYMENT, entrypoint_type=by_module) for flow in flows]


def repair_when_reviewed(deployment: UUID) -> Automation:
    """An automation that runs a deployment of `remediate` for the run whose review is complete."""
    return Automation(
        name=AUTOMATION,
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


async def register(served: list[RunnerDeployment]) -> None:
    """Make deployments and automation known to the server, in place of those of their names."""
    known = {each.flow_name: await each.aapply() for each in served}
    automation = repair_when_reviewed(known[remediate.name])
    async with get_client() as client:
        for old in await client.read_automations_by_name(automation.name):
            await client.delete_automation(old.id)
    await automation.acreate()


def main() -> None:
    """Register, then serve until interrupted."""
    served = deployments()
    asyncio.run(register(served))
    serve(*served)


if __name__ == "__main__":
    main()
