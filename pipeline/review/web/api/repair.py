"""From decisions to a repaired data set: what would change, starting it, how far it is."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import exists, select

from pipeline.review.backend import Job, PlanPreview
from pipeline.review.store.tables import LogEntry, Run
from pipeline.review.values import Actor, Key
from pipeline.review.web.access.dependencies import Here
from pipeline.review.web.access.log import log_action
from pipeline.review.web.api.failures import failures
from pipeline.review.web.api.few import Few
from pipeline.review.web.api.subjects import Admin, AuditRun, Place

router = APIRouter(prefix="/audits/{run}", tags=["repair"])

STARTED = "repair started"
"""In the log."""
_PLANNING = Few(4)


class RepairRequest(BaseModel):
    """Start a repair."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Key
    device: Literal["auto", "cpu", "cuda"] = "auto"
    revision: int | None = Field(None, ge=0, description="of the audit when the plan was shown")


@router.get("/plan", summary="What a repair would do", responses=failures(404, 429))
def plan(run: AuditRun, place: Place) -> PlanPreview:
    """With the decisions in force now: what is filled, how much of each class, and what to beware of."""
    with _PLANNING.one_more():
        return place.backend.plan(_folder(place, run))


@router.get("/repair", summary="The last repair", responses=failures(404))
def repair(run: AuditRun, place: Place) -> Job:
    """Its state and progress; it goes on when this server stops."""
    return place.backend.job(_folder(place, run))


@router.post("/repair", summary="Start a repair", responses=failures(404, 409))
def start_repair(run: AuditRun, asked: RepairRequest, request: Request, place: Place, actor: Admin) -> Job:
    """One at a time for an audit. The same key again starts nothing and tells how it is. 409: somebody decided since
    the plan was shown. Admins only.
    """
    if _started(place, run, actor, asked.key):
        return place.backend.job(_folder(place, run))
    if asked.revision is not None and asked.revision != _revision(place, run):
        raise HTTPException(409, "The review went on since this plan was shown. Look at the new plan, then start.")
    job = place.backend.start(_folder(place, run), actor.name, asked.device)
    log_action(place.store, request, STARTED, run=run, key=asked.key, device=asked.device)
    return job


@router.post("/repair/cancel", summary="Stop the repair", responses=failures(404))
def cancel_repair(run: AuditRun, request: Request, place: Place, actor: Admin) -> Job:
    """What was finished is kept, and a new start goes on from there. Admins only."""
    job = place.backend.cancel(_folder(place, run), actor.name)
    log_action(place.store, request, "repair cancelled", run=run)
    return job


def _started(place: Here, run: str, actor: Actor, key: str) -> bool:
    """Whether this request was done before: the log knows its key."""
    entry = (LogEntry.action == STARTED, LogEntry.run == run, LogEntry.user == actor.name)
    with place.store.reading() as session:
        return bool(session.scalar(select(exists().where(*entry, LogEntry.detail["key"].as_string() == key))))


def _revision(place: Here, run: str) -> int | None:
    with place.store.reading() as session:
        return session.scalar(select(Run.revision).where(Run.run == run))


def _folder(place: Here, run: str) -> Path:
    return place.workspace / "runs" / run
