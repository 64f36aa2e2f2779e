"""What a person should do next with an audit."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.review.values import AuditView


@dataclass(frozen=True)
class NextStep:
    """A link."""

    words: str
    address: str


def next_step(audit: AuditView) -> NextStep:
    """The one thing that brings the audit further: conflicts first, since others wait for them."""
    base = f"/audits/{audit.run}"
    if audit.state == "repairing":
        return NextStep("See how the repair goes", f"{base}/plan")
    if audit.conflicts:
        return NextStep(f"Settle {_counted(audit.conflicts, 'conflict')}", f"{base}/agreement")
    if audit.findings_open:
        return NextStep(f"Decide {_counted(audit.findings_open, 'finding')}", base)
    if audit.open:
        return NextStep(f"Decide {_counted(audit.open, 'image')}", f"{base}/gallery?status=open")
    if audit.state == "complete":
        return NextStep("Read the report", f"{base}/report")
    return NextStep("Plan the repair", f"{base}/plan")


def _counted(value: int, noun: str) -> str:
    return f"{value:,} {noun}{'' if value == 1 else 's'}"
