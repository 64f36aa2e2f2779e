"""The `nightly-audit` flow: what a schedule runs over a data set that grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from prefect import flow
from prefect.states import Failed

from flows.audit import audit
from flows.gate import Condition, failed_conditions, gate, need_accepted
from flows.notices.notice import GATE_FAILED
from flows.observed import announce_gate, observed
from flows.request import AuditRequest
from flows.results import RunResult
from flows.workspace import Workspace
from pipeline.ingest import find_manifest

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


@flow(name="nightly-audit", description="Audit what is new or changed in a data set since its last audit.")
def nightly_audit(request: AuditRequest, fail_on: tuple[Condition, ...] = ()) -> RunResult:
    """Go on from the last audit of the data set; see `flows.audit`.

    Args:
        request: of the audit; `grow` is set.
        fail_on: end in the state `GateFailed` when the audit, which is kept, does not pass; see `flows.gate`.

    Raises:
        CxrAuditError: what the user gave cannot be used; the message says what to do.
    """
    with observed("nightly-audit", request.workspace, request.manifest):
        need_accepted(Workspace(request.workspace), find_manifest(request.manifest).name, fail_on)
        # What a flow returns as a state Prefect takes for its end, see `publish`; a body called here is not unwrapped.
        ended = cast("State[RunResult]", audit.fn(request.model_copy(update={"grow": True})))
        run = cast(RunResult, ended.data).run
        failed = gate(run, fail_on)
        if not failed:
            return cast(RunResult, ended)
        announce_gate(run, failed_conditions(failed))
        words = "; ".join(f"{check.group} {check.name}: {check.failure}" for check in failed[:5])
        more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
        return cast(RunResult, Failed(name=GATE_FAILED, message=f"Run {run.name}: {words}{more}"))
