"""Decisions: how many things one would reach, making it, taking it back."""

from __future__ import annotations

from fastapi import APIRouter

from pipeline.review.store.decisions import decide
from pipeline.review.store.history import redo, undo
from pipeline.review.store.scopes import reach
from pipeline.review.values import DecisionRequest, Outcome, Reach, StepRequest, Target
from pipeline.review.web.api.endings import reviewing
from pipeline.review.web.api.failures import failures
from pipeline.review.web.api.subjects import AuditRun, Place, Reviewer

router = APIRouter(prefix="/audits/{run}", tags=["decisions"])


@router.post("/decisions", summary="Decide", responses=failures(404, 409))
def make_decision(run: AuditRun, request: DecisionRequest, place: Place, actor: Reviewer) -> Outcome:
    """Append one decision for each thing the target reaches, all or none. A request that was answered before, by its
    key, is answered again and not done again. 409: somebody else changed one of them after the client saw it.
    """
    with reviewing(place, run, actor) as session:
        return decide(session, run, actor, request)


@router.post("/decisions/reach", summary="What a decision would reach", responses=failures(404))
def preview_reach(run: AuditRun, target: Target, place: Place, actor: Reviewer) -> Reach:
    """Counts; nothing is changed. Send its `revision` with the decision that follows."""
    with place.store.reading() as session:
        return reach(session, run, actor, target)


@router.post("/undo", summary="Take back one's own last action", responses=failures(404, 409))
def undo_last(run: AuditRun, request: StepRequest, place: Place, actor: Reviewer) -> Outcome:
    """Appends what it was before; nothing is removed from the log."""
    with reviewing(place, run, actor) as session:
        return undo(session, run, actor, request)


@router.post("/redo", summary="Do again what undo took back", responses=failures(404, 409))
def redo_last(run: AuditRun, request: StepRequest, place: Place, actor: Reviewer) -> Outcome:
    """Until something else is decided, in the order in which it was taken back."""
    with reviewing(place, run, actor) as session:
        return redo(session, run, actor, request)
