"""The images of an audit: windows of its gallery, the next one, and all that is known of one."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from pipeline.review.store import gallery
from pipeline.review.store.edits import tag
from pipeline.review.store.history import history
from pipeline.review.store.tables import Run
from pipeline.review.store.views import image_view
from pipeline.review.values import (
    DecisionRecord,
    Filters,
    GalleryPage,
    ImageId,
    ImageView,
    Neighbour,
    Outcome,
    Sort,
    TagRequest,
)
from pipeline.review.web.access.dependencies import sees_identifiers
from pipeline.review.web.api.failures import failures
from pipeline.review.web.api.subjects import AuditImage, AuditRun, Place, Reviewer, Shown, Viewer

router = APIRouter(prefix="/audits/{run}", tags=["images"])


class GalleryQuery(Filters):
    """A window on the images that fit."""

    sort: Sort = Field("score", description="highest score first, or in the order of the images table")
    offset: int = Field(0, ge=0, le=2**31 - 1)
    limit: int = Field(100, ge=1, le=500)


class NextQuery(Filters):
    """Where to go from an image."""

    sort: Sort = Field("score", description="as the gallery was sorted")
    image: ImageId | None = Field(None, description="from here; null: from the beginning or the end")
    direction: Literal["next", "previous"] = "next"
    skip_decided: bool = Field(False, description="only images with something left to decide for whoever asks")


def _filters(query: Filters) -> Filters:
    return Filters.model_validate({name: getattr(query, name) for name in Filters.model_fields})


@router.get("/images", summary="A window of the gallery", responses=failures(404))
def images(run: AuditRun, query: Annotated[GalleryQuery, Query()], place: Place, actor: Viewer) -> GalleryPage:
    """Images that fit every filter given. In a blind audit an image that is not decided keeps label, prediction and
    source to itself.
    """
    with place.store.reading() as session:
        return gallery.page(
            session,
            run,
            _filters(query),
            query.sort,
            query.offset,
            query.limit,
            hidden=session.get_one(Run, run).blind,
            actor=actor,
        )


@router.get("/next", summary="The next or previous image", responses=failures(404))
def next_image(run: AuditRun, query: Annotated[NextQuery, Query()], place: Place, actor: Viewer) -> Neighbour:
    """The image after or before another one among those that fit, and how many are left."""
    with place.store.reading() as session:
        return gallery.neighbour(
            session, run, query.image, _filters(query), query.sort, query.direction, query.skip_decided, actor
        )


@router.get("/images/{image}", summary="All that is known of an image", responses=failures(404))
def image_facts(run: AuditRun, image: AuditImage, place: Place, shown: Shown, actor: Viewer) -> ImageView:
    """Besides pixels: regions, why they were flagged, verdicts, and what the classifier says, unless that is hidden
    until the image is decided. Path and patient are null unless the role may see identifiers.
    """
    with place.store.reading() as session:
        view = image_view(session, run, image, actor, shown.dataset(run), sees_identifiers=sees_identifiers(actor))
    later = {"methods": shown.methods(run, image), "lungs": shown.lungs(run, image) is not None}
    return view.model_copy(update=later)


@router.get("/images/{image}/history", summary="Decisions about an image", responses=failures(404))
def image_history(
    run: AuditRun,
    image: AuditImage,
    place: Place,
    actor: Viewer,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="a record's id: only older ones")] = None,
) -> list[DecisionRecord]:
    """About its regions and their findings, the latest first; what a reader may not see yet is left out."""
    with place.store.reading() as session:
        return history(session, run, image, limit, before, actor)


@router.post("/images/{image}/tag", summary="Tag for a second reader", responses=failures(404, 409))
def tag_image(run: AuditRun, image: AuditImage, request: TagRequest, place: Place, actor: Reviewer) -> Outcome:
    """Or take the tag off."""
    with place.store.writing() as session:
        return tag(session, run, actor, image, request)
