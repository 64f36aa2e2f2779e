"""Arrays and pictures of one image: what is stored, what the classifier looked at, what a repair would leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from pipeline.errors import InputError
from pipeline.review.pictures import Busy, Pictures, Saliency
from pipeline.review.store.conflict import Missing
from pipeline.review.store.ruled_regions import named_regions, removed_regions
from pipeline.review.thumbnails import ThumbnailSize
from pipeline.review.web.api.failures import failures
from pipeline.review.web.api.few import Few
from pipeline.review.web.api.raw import (
    ASK_AGAIN,
    FOREVER,
    NEVER,
    array_answer,
    documented,
    picture_answer,
    unchanged,
)
from pipeline.review.web.api.subjects import AuditImage, AuditRun, Place, Shown, Viewer

router = APIRouter(prefix="/audits/{run}/images/{image}", tags=["pixels"], default_response_class=Response)

_FILLING = Few(8)

Method = Annotated[
    str, Path(pattern=r"^[a-z0-9][a-z0-9+:-]*$", max_length=64, description="an explainer, e.g. grad-cam")
]


@router.get("/pixels", summary="Stored pixels", responses=documented("uint8 or uint16, X-Size a side") | failures(404))
def pixels(run: AuditRun, image: AuditImage, request: Request, shown: Shown) -> Response:
    """The square of the pixel store as it is, never reduced to 8 bits. It is named by its content and never changes."""
    tag = f"{shown.version(run)}-{image[:32]}"
    return unchanged(request, tag, FOREVER) or array_answer(request, shown.pixels(run, image), FOREVER, tag)


@router.get(
    "/thumbnail",
    summary="A small grey picture",
    responses=documented("windowed to its own percentiles", "image/jpeg") | failures(404),
)
def thumbnail(
    run: AuditRun,
    image: AuditImage,
    request: Request,
    shown: Shown,
    size: Annotated[ThumbnailSize, Query()] = ThumbnailSize.SMALL,
) -> Response:
    """For galleries."""
    tag = f"{shown.version(run)}-{image[:32]}-{size}"
    found = unchanged(request, tag, FOREVER)
    return found or picture_answer(shown.thumbnail(run, image, size), "image/jpeg", FOREVER, tag)


@router.get(
    "/saliency/{method}",
    summary="A saliency map",
    responses=documented("float32, X-Height by X-Width") | failures(404, 429),
)
def saliency(
    run: AuditRun,
    image: AuditImage,
    method: Method,
    request: Request,
    place: Place,
    shown: Shown,
    actor: Viewer,
    compute: Annotated[bool, Query(description="where there is none; reviewers and admins")] = False,
) -> Response:
    """Of the audit, or computed on demand. 429: one is being computed; try again after Retry-After seconds."""
    found = shown.saliency(run, image, method)
    if found is None and compute:
        if actor.role == "viewer":
            raise HTTPException(403, "Viewers see the maps of the audit; a reviewer can have others computed.")
        folder = place.workspace / "runs" / run
        found = _computed(shown, run, image, method, lambda: place.backend.explain(folder, image, method))
    if found is None:
        raise Missing(f"Image {image} has no saliency map by {method}. Ask with compute=true to have it computed.")
    return array_answer(request, found, ASK_AGAIN)


@router.get(
    "/lungs",
    summary="Where the lungs are",
    responses=documented("uint8, 1 in the lungs, X-Height by X-Width over the square of the pixels") | failures(404),
)
def lungs(run: AuditRun, image: AuditImage, request: Request, shown: Shown) -> Response:
    """404 where nobody looked, or none were found."""
    found = shown.lungs(run, image)
    if found is None:
        raise Missing(f"No lungs are known of image {image}.")
    return array_answer(request, found, ASK_AGAIN)


@router.get(
    "/cleansed",
    summary="Pixels as a repair would leave them",
    responses=documented("in the form of the stored pixels") | failures(404, 429),
)
def cleansed(
    run: AuditRun,
    image: AuditImage,
    request: Request,
    place: Place,
    shown: Shown,
    regions: Annotated[
        str | None,
        Query(pattern=r"^[0-9a-f]{16}(,[0-9a-f]{16}){0,199}$", description="ids, with commas: fill these"),
    ] = None,
    rule: Annotated[Literal["in-force"] | None, Query(description="fill what is decided to be removed")] = None,
) -> Response:
    """Give exactly one of `regions` and `rule`."""
    if (regions is None) == (rule is None):
        raise InputError("Give either regions=ID,ID or rule=in-force.")
    with place.store.reading() as session:
        chosen = (
            removed_regions(session, run, image)
            if regions is None
            else named_regions(session, run, image, regions.split(","))
        )
    if chosen.empty:
        return array_answer(request, shown.pixels(run, image), NEVER)
    with _FILLING.one_more():
        filled = place.backend.cleansed(place.workspace / "runs" / run, image, chosen)
    return array_answer(request, filled, NEVER)


def _computed(shown: Pictures, run: str, image: str, method: str, compute: Callable[[], Saliency]) -> Saliency:
    try:
        return shown.computed_saliency(run, image, method, compute)
    except Busy as error:
        raise HTTPException(429, str(error), headers={"Retry-After": "5"}) from error
