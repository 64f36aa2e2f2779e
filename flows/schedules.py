"""Schedules of audits: deployments of `nightly-audit` on a Prefect server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from flows.prefect_api import LIMIT, asked
from flows.workspace import Workspace
from pipeline.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

    from flows.gate import Condition
    from flows.request import AuditRequest

FLOW = "nightly-audit"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Scheduled:
    """A schedule, as a person is told of it.

    Attributes:
        when: `cron 0 2 * * * Europe/Berlin`, `every 6:00:00`, or `-` where it is only started by hand.
        next: when it is due; None: paused, or not planned yet.
        last: state in which its last run ended, such as `AwaitingReview`, with `ended` and the words that came with it.
    """

    name: str
    manifest: str
    when: str
    active: bool
    next: datetime | None
    last: str | None
    ended: datetime | None
    words: str | None


def timing(cron: str | None, interval: str | None, timezone: str) -> CronSchedule | IntervalSchedule:
    """When an audit is due.

    Args:
        cron: five fields.
        interval: a number and a unit, as `30m`.
        timezone: IANA name, such as `Europe/Berlin`.

    Raises:
        InputError: one of them is wrong, or it is not one of the two.
    """
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, is_valid_timezone
    from pydantic import ValidationError

    if not is_valid_timezone(timezone):
        raise InputError(f"--timezone {timezone!r} is unknown: give an IANA name, such as UTC or Europe/Berlin.")
    if interval is not None and cron is None:
        return IntervalSchedule(interval=_length(interval), timezone=timezone)
    if cron is None or interval is not None:
        raise InputError('Give one of --cron, e.g. "0 2 * * *" for every night at two, and --interval, e.g. 6h.')
    try:
        return CronSchedule(cron=cron, timezone=timezone)
    except ValidationError as error:
        raise InputError(
            f"--cron {cron!r} cannot be read: give minute, hour, day of month, month and day of week, e.g. "
            '"0 2 * * *" for every night at two.'
        ) from error


def check(request: AuditRequest, fail_on: tuple[Condition, ...] = ()) -> str:
    """Refuse at once what would fail every night; returns the name of the data set.

    Raises:
        CxrAuditError: manifest, settings, data root or conditions cannot be used.
    """
    from flows.gate import need_accepted
    from flows.tasks.data import config_of, generated_root
    from pipeline.ingest import find_manifest

    config_of(request)
    if request.data_root is None:
        generated_root(request)
    elif not request.data_root.is_dir():
        raise InputError(f"--data-root {request.data_root}: no such folder.")
    dataset = find_manifest(request.manifest).name
    need_accepted(Workspace(request.workspace), dataset, fail_on)
    return dataset


def schedule(
    name: str, request: AuditRequest, when: CronSchedule | IntervalSchedule, fail_on: tuple[Condition, ...] = ()
) -> bool:
    """Create the schedule `name`, or change the one that there is; returns whether there was one.

    When an audit is due while the last one of the same schedule is at work, it is left out.

    Raises:
        InputError: the API does not answer.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.schedules import Schedule
    from prefect.utilities.asyncutils import run_coro_as_sync

    from flows.deployments import deployed, make_pool
    from flows.nightly import nightly_audit

    async def pool() -> None:
        async with get_client() as client:
            await make_pool(client)

    there = asked(lambda client: name in {each.name for each in _deployments(client)})
    deployment = deployed(
        nightly_audit,
        name,
        schedule=Schedule(**when.model_dump(include={"cron", "interval", "anchor_date", "timezone"})),
        parameters={"request": request.model_dump(mode="json"), "fail_on": list(fail_on)},
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
    )

    def apply(_: SyncPrefectClient) -> None:
        run_coro_as_sync(pool())
        deployment.apply()

    asked(apply)
    return there


def schedules() -> list[Scheduled]:
    """All schedules that the server knows, by name.

    Raises:
        InputError: the API does not answer.
    """
    return asked(lambda client: [_scheduled(client, each) for each in _deployments(client)])


def pause(name: str) -> None:
    """Let nothing of it run by itself until it is resumed; runs that were planned are taken back.

    Raises:
        InputError: there is no such schedule, or the API does not answer.
    """
    asked(lambda client: client.pause_deployment(_named(client, name).id))


def resume(name: str) -> None:
    """Undo `pause`.

    Raises:
        InputError: there is no such schedule, or the API does not answer.
    """
    asked(lambda client: client.resume_deployment(_named(client, name).id))


def delete(name: str) -> None:
    """Remove it from the server. What its runs left in the workspace stays.

    Raises:
        InputError: there is no such schedule, or the API does not answer.
    """
    asked(lambda client: client.delete_deployment(_named(client, name).id))


def _length(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9]\d{0,5})([smhdw])", text.strip())
    if found is None:
        raise InputError(f"--interval {text!r} cannot be read: give a number and a unit, such as 30m, 6h or 1d.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _deployments(client: SyncPrefectClient) -> list[DeploymentResponse]:
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName

    found = client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])), limit=LIMIT)
    return sorted(found, key=lambda each: each.name)


def _named(client: SyncPrefectClient, name: str) -> DeploymentResponse:
    known = {each.name: each for each in _deployments(client)}
    if name not in known:
        raise InputError(f"There is no schedule {name!r}. {did_you_mean(name, list(known))}")
    return known[name]


def _scheduled(client: SyncPrefectClient, deployment: DeploymentResponse) -> Scheduled:
    active = not deployment.paused and any(each.active for each in deployment.schedules)
    due, last = (_next(client, deployment) if active else None), _last(client, deployment)
    state = last.state if last else None
    return Scheduled(
        name=deployment.name,
        manifest=str((deployment.parameters or {}).get("request", {}).get("manifest", "-")),
        when=", ".join(_when(each.schedule) for each in deployment.schedules) or "-",
        active=active,
        next=due.expected_start_time if due else None,
        last=state.name if state else None,
        ended=last.end_time if last else None,
        words=state.message if state else None,
    )


def _when(timing: Any) -> str:
    how = f"cron {timing.cron}" if hasattr(timing, "cron") else f"every {timing.interval}"
    return f"{how} {timing.timezone or 'UTC'}"


def _next(client: SyncPrefectClient, deployment: DeploymentResponse) -> FlowRun | None:
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    return _first(client, deployment, [StateType.SCHEDULED], FlowRunSort.EXPECTED_START_TIME_ASC, began=False)


def _last(client: SyncPrefectClient, deployment: DeploymentResponse) -> FlowRun | None:
    """Prefect shows as cancelled what was left out because the run before was at work: none of those is a run."""
    from prefect.client.schemas.objects import TERMINAL_STATES, StateType
    from prefect.client.schemas.sorting import FlowRunSort

    return _first(
        client, deployment, list(TERMINAL_STATES - {StateType.CANCELLED}), FlowRunSort.END_TIME_DESC, began=True
    )


def _first(
    client: SyncPrefectClient, deployment: DeploymentResponse, types: list[Any], sort: Any, *, began: bool
) -> FlowRun | None:
    from prefect.client.schemas import filters

    runs = client.read_flow_runs(
        deployment_filter=filters.DeploymentFilter(id=filters.DeploymentFilterId(any_=[deployment.id])),
        flow_run_filter=filters.FlowRunFilter(
            state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=types)),
            start_time=filters.FlowRunFilterStartTime(is_null_=not began),
        ),
        sort=sort,
        limit=1,
    )
    return runs[0] if runs else None
