"""The `audit-with-approval` flow: audit, wait for somebody's approval of what was reviewed, repair.

The review itself happens on the review page; what is asked for here is a small form in Prefect, days later if need be.
The flow's process ends while it waits. That takes a deployment, whose worker starts it again after the answer; what was
computed is found on disk.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from prefect import flow, suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment
from pydantic import Field

from flows.audit import Audited, find_shortcuts
from flows.cluster import spread_for
from flows.observed import announce_end, observed
from flows.remediate import repaired
from flows.request import AuditRequest
from flows.results import RunResult
from flows.review.address import review_url
from flows.review.frozen import frozen, review_now
from flows.steps import Steps
from flows.tasks.artifacts import leave_links
from flows.tasks.report import publish, result_of, write_report
from pipeline.artifacts import content_hash
from pipeline.errors import InputError

PATIENCE_DAYS = 30
"""How long an approval is waited for; Prefect's default of an hour is not a review's pace."""


class Approval(RunInput):
    """What is asked of the one who approves."""

    reviewer: str = Field(description="who approves", min_length=1, max_length=64)
    approve: Literal["yes", "no"] = Field(description="repair as the reviewers decided?")
    comment: str = Field("", description="why", max_length=2000)
    decisions: str = Field(description="hash of the decisions that are approved, as shown here", max_length=64)


@flow(name="audit-with-approval", description="Audit, suspend until somebody approves the decisions, repair.")
def audit_with_approval(request: AuditRequest) -> RunResult:
    """Audit, then repair what reviewers accepted once their decisions are approved; it ends awaiting review if not.

    Raises:
        CxrAuditError: what the user gave cannot be used; the message says what to do.
    """
    if deployment.id is None:
        raise InputError(
            "audit-with-approval suspends its process and needs a Prefect deployment to be started again by: see "
            "docs/review.md. Without one run `cxr-audit audit`, review, and start the repair from the review page."
        )
    with observed("audit-with-approval", request.workspace, request.manifest), spread_for(request), Steps() as steps:
        audited = find_shortcuts(request, steps)
        words = write_report(audited.run, audited.dataset, audited.bundle, audited.config, "awaiting review")
        leave_links(audited.run, "awaiting review")
        announce_end(result_of(audited.run, "awaiting review", words, steps.worked))
        approval = _approved(audited)
        if approval.approve == "no":
            return publish(audited.run, "awaiting review", [*words, _declined(approval)], steps.worked)
        return repaired(audited, "none", request.device, steps)


def decisions_hash(run: Path) -> str:
    """Of the decisions in force about a run: what an approval is about."""
    review = review_now(run) or frozen(run)
    findings = {name: each.decision for name, each in review.findings.items()}
    return content_hash([findings, review.regions.to_csv(index=False)])


def _approved(audited: Audited) -> Approval:
    """The answer about the decisions in force. One about others does not count and is asked for again.

    Every question has its own key: a flow that was started again finds the answers that it had, in their order.
    """
    number = 1
    while True:
        current = decisions_hash(audited.run)
        form = Approval.with_initial_data(description=_question(audited.run, current, number), decisions=current)
        answer = suspend_flow_run(wait_for_input=form, timeout=PATIENCE_DAYS * 24 * 3600, key=f"approval-{number}")
        if answer.approve == "no" or answer.decisions == current:
            return answer
        number += 1


def _question(run: Path, current: str, number: int) -> str:
    again = "The decisions changed since the last answer, so it is asked again. " if number > 1 else ""
    accepted = [name for name, each in (review_now(run) or frozen(run)).findings.items() if each.decision == "accepted"]
    return (
        f"{again}Run `{run.name}`: [review page]({review_url(run.name)}). "
        f"Accepted: {', '.join(accepted) or 'no finding so far'}. Hash of the decisions: `{current}`."
    )


def _declined(approval: Approval) -> str:
    comment = f": {approval.comment}" if approval.comment else "."
    return f"{approval.reviewer} did not approve the repair{comment}"
