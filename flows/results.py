"""What a flow hands back: a small record, never data."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel

RunState = Literal["awaiting review", "complete", "nothing to repair"]
AT_LEAST = {"suspected": ("suspected", "confirmed", "accepted"), "confirmed": ("confirmed", "accepted")}
"""Statuses of findings that are at least `suspected`, or `confirmed`."""


class RunResult(BaseModel):
    """The end of an audit or a repair."""

    run: Path
    report: Path
    state: RunState
    findings: dict[str, int]
    """Number of findings by status."""
    words: list[str]
    """The result in sentences, as at the top of the report."""
    worked: int
    """Stages that had to work; 0 when everything was there already."""

    def count_at_least(self, status: str) -> int:
        """Findings whose status is `status` ("suspected" or "confirmed") or stronger."""
        return sum(self.findings.get(name, 0) for name in AT_LEAST[status])
