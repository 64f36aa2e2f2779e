"""How far two readers agree, and where they do not."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from pipeline.review.store.readers import conflicts, kappa
from pipeline.review.values import DisagreementPage, Kappa
from pipeline.review.web.api.failures import failures
from pipeline.review.web.api.subjects import AuditRun, Place

router = APIRouter(prefix="/audits/{run}", tags=["agreement"], responses=failures(404))

SEED = 0
"""Of the bootstrap: the same decisions give the same interval."""


@router.get("/agreement", summary="Cohen's kappa of each two readers")
def agreement(run: AuditRun, place: Place) -> list[Kappa]:
    """With a bootstrap interval over images. Empty where no two readers decided about the same thing."""
    with place.store.reading() as session:
        return kappa(session, run, SEED)


@router.get("/conflicts", summary="What two readers disagree about")
def disagreements(
    run: AuditRun,
    place: Place,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> DisagreementPage:
    """Findings by rank, then regions in the order of images, until a third reader or an admin settles them."""
    with place.store.reading() as session:
        return conflicts(session, run, offset, limit)
