"""Telling Prefect's automations that a review is done."""

from __future__ import annotations

from pathlib import Path

from flows.notices.event import emit

REVIEW_COMPLETE = "cxr-audit.review.complete"
"""Event: the review of a run is done. Its resource is `cxr-audit.run.<run>`; payload: `run` (folder) and `by`."""


def announce(run: Path, by: str) -> None:
    """Emit `REVIEW_COMPLETE`; returns when the Prefect server has it.

    Raises:
        InputError: there is no Prefect server, or it does not answer.
    """
    emit(REVIEW_COMPLETE, run.name, {"run": str(run), "by": by})
