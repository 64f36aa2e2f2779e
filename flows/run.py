"""The `run` flow: audit and remediate in one, with a decision policy instead of a person."""

from __future__ import annotations

from prefect import flow

from flows.audit import find_shortcuts
from flows.cluster import spread_for
from flows.observed import observed
from flows.remediate import repaired
from flows.request import AuditRequest, Policy
from flows.results import RunResult
from flows.steps import Steps
from flows.tasks.report import publish, write_report


@flow(name="run", description="The whole loop: audit, repair what the policy accepts, compare, report.")
def run(request: AuditRequest, accept: Policy = "confirmed") -> RunResult:
    """Audit, then repair what `accept` says; with "none" it ends awaiting review.

    Raises:
        CxrAuditError: what the user gave cannot be used; the message says what to do.
    """
    with observed("run", request.workspace, request.manifest), spread_for(request), Steps() as steps:
        audited = find_shortcuts(request, steps)
        if accept == "none":
            words = write_report(audited.run, audited.dataset, audited.bundle, audited.config, "awaiting review")
            return publish(audited.run, "awaiting review", words, steps.worked)
        return repaired(audited, accept, request.device, steps)
