"""The Prefect server that PREFECT_API_URL names: is it there, of our version, and would schedules fire?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flows.doctor.check import Check, Place, checked, skipped

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

GROUP = "prefect"
LIMIT = 200
"""Rows that the API hands out at once."""
_LATE = timedelta(minutes=2)
_HEARTBEAT = timedelta(minutes=2)
_GPU = "gpu"
"""Tag of our tasks that hold a GPU."""


def checks(_: Place) -> Iterator[Check]:
    """Nothing is asked where no server is configured: flows start one of their own then."""
    from flows.prefect_api import configured

    if not configured():
        yield skipped(GROUP, "server", "none configured (PREFECT_API_URL): flows start one for themselves")
        return
    import httpx
    from prefect.client.orchestration import get_client

    url = os.environ["PREFECT_API_URL"].split("@")[-1]
    try:
        with get_client(sync_client=True, httpx_settings={"timeout": 5.0}) as client:
            error = client.api_healthcheck()
            fix = "start it with `prefect server start`, or set PREFECT_API_URL to its address, ending in /api"
            found = f"{url} does not answer ({type(error).__name__})" if error else f"{url} answers"
            yield checked(GROUP, "server", error is None, found, fix)
            if error is None:
                yield from _asked(client)
    except (httpx.HTTPError, RuntimeError) as problem:
        words = f"{url}: {type(problem).__name__} while asked"
        yield checked(GROUP, "server", False, words, "see the server's log")


def _asked(client: SyncPrefectClient) -> Iterator[Check]:
    import prefect

    version = client.api_version()
    fix = "run the server from the same environment as the flows"
    same = version == prefect.__version__
    yield checked(GROUP, "version", same, f"server {version}, here {prefect.__version__}", fix, "warning")
    scheduled = [each for each in client.read_deployments(limit=LIMIT) if _active(each)]
    yield _planned(client, scheduled)
    yield from _workers(client)
    limits = {each.tag: each.concurrency_limit for each in client.read_concurrency_limits(limit=LIMIT, offset=0)}
    known = _GPU in limits
    found = f"{limits[_GPU]} at a time" if known else "no limit: flow runs beside each other share the GPU's memory"
    yield checked(
        GROUP, "gpu limit", known, found, f"prefect concurrency-limit create {_GPU} <number of GPUs>", "warning"
    )


def _active(deployment: DeploymentResponse) -> bool:
    return not deployment.paused and any(each.active for each in deployment.schedules)


def _planned(client: SyncPrefectClient, scheduled: list[DeploymentResponse]) -> Check:
    """Whether the server plans runs of active schedules, and somebody takes them when they are due."""
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterId,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    waiting = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])))
    unplanned, late = [], []
    for each in scheduled:
        only = DeploymentFilter(id=DeploymentFilterId(any_=[each.id]))
        runs = client.read_flow_runs(flow_run_filter=waiting, deployment_filter=only, limit=LIMIT)
        due = [run.expected_start_time for run in runs if run.expected_start_time]
        unplanned += [] if runs else [each.name]
        late += [each.name] if any(time < datetime.now(UTC) - _LATE for time in due) else []
    if unplanned:
        fix = "the server's scheduler is not at work: see its log, and that SQLAlchemy there is below 2.1"
        return checked(GROUP, "schedules", False, f"no run is planned of {', '.join(unplanned)}", fix)
    if late:
        fix = "nobody takes runs: start `cxr-audit serve` or `prefect worker start`"
        return checked(GROUP, "schedules", False, f"runs of {', '.join(late)} are late", fix)
    return skipped(GROUP, "schedules", f"{len(scheduled)} active, runs are planned and none is late")


def _workers(client: SyncPrefectClient) -> Iterator[Check]:
    """Every work pool has a worker that was heard of lately; without a pool, deployments are served by a process."""
    now = datetime.now(UTC)
    for pool in client.read_work_pools(limit=LIMIT):
        heard = [each.last_heartbeat_time for each in client.read_workers_for_work_pool(pool.name)]
        alive = sum(time is not None and now - time < _HEARTBEAT for time in heard)
        fix = f"prefect worker start --pool {pool.name}"
        yield checked(GROUP, f"work pool {pool.name}", alive > 0, f"{alive} workers alive", fix, "warning")
