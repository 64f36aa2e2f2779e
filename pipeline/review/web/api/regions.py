"""Regions that a person draws, corrects or removes."""

from __future__ import annotations

from fastapi import APIRouter

from pipeline.review.store.edits import change, delete, draw
from pipeline.review.values import ChangeRequest, DeleteRequest, DrawRequest, Outcome
from pipeline.review.web.api.endings import reviewing
from pipeline.review.web.api.failures import failures
from pipeline.review.web.api.subjects import AuditRun, Place, RegionPath, Reviewer

router = APIRouter(prefix="/audits/{run}/regions", tags=["regions"], responses=failures(404, 409))


@router.post("", summary="Draw a region")
def draw_region(run: AuditRun, request: DrawRequest, place: Place, actor: Reviewer) -> Outcome:
    """A new region of an image; its box is cut to the image."""
    with reviewing(place, run, actor) as session:
        return draw(session, run, actor, request)


@router.patch("/{region}", summary="Move a region, or correct its kind")
def change_region(run: AuditRun, region: RegionPath, request: ChangeRequest, place: Place, actor: Reviewer) -> Outcome:
    """What it was is kept, and undo brings it back."""
    with reviewing(place, run, actor) as session:
        return change(session, run, actor, region, request)


@router.post("/{region}/delete", summary="Remove a region that is none")
def delete_region(run: AuditRun, region: RegionPath, request: DeleteRequest, place: Place, actor: Reviewer) -> Outcome:
    """It is marked as deleted, and undo brings it back."""
    with reviewing(place, run, actor) as session:
        return delete(session, run, actor, region, request)
