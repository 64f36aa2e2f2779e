"""The review as files: decisions, and regions with their verdicts."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request, Response

from pipeline.review.pictures import Pictures
from pipeline.review.store.exports import decisions_csv, decisions_json
from pipeline.review.store.ruled_regions import ruled_regions
from pipeline.review.web.access.dependencies import Here, sees_identifiers
from pipeline.review.web.access.log import log_action
from pipeline.review.web.api.failures import failures
from pipeline.review.web.api.subjects import AuditRun, Place, Shown, Viewer

router = APIRouter(prefix="/audits/{run}/export", tags=["exports"], default_response_class=Response)

_ATTACHED = {"Content-Disposition": {"schema": {"type": "string"}}}


def _documented(words: str, media: str, schema: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": words, "content": {media: {"schema": schema}}, "headers": _ATTACHED}}


@router.get(
    "/decisions.csv",
    summary="All decisions, one a line",
    responses=_documented("oldest first", "text/csv", {"type": "string"}) | failures(404),
)
def decisions_as_csv(run: AuditRun, request: Request, place: Place, actor: Viewer) -> Response:
    """No cell can be taken for a formula. With two readers, what a reader may not see yet is left out."""
    with place.store.reading() as session:
        text = decisions_csv(session, run, actor)
    return _attachment(request, place, run, "decisions.csv", text, "text/csv")


@router.get(
    "/decisions.json",
    summary="All decisions, for programs",
    responses=_documented("oldest first", "application/json", {"type": "object"}) | failures(404),
)
def decisions_as_json(run: AuditRun, request: Request, place: Place, actor: Viewer) -> Response:
    """The same as decisions.csv."""
    with place.store.reading() as session:
        content = decisions_json(session, run, actor)
    return _attachment(request, place, run, "decisions.json", _json(content), "application/json")


@router.get(
    "/regions.coco.json",
    summary="Regions in COCO's form",
    responses=_documented("object detection", "application/json", {"type": "object"}) | failures(404),
)
def regions_as_coco(run: AuditRun, request: Request, place: Place, shown: Shown, actor: Viewer) -> Response:
    """Every region with the verdict in force; `attributes.removed` says whether a repair removes it. Pictures are named
    by their paths, or by image ids for a role that may not see identifiers.
    """
    with place.store.reading() as session:
        regions = ruled_regions(session, run)
    content = place.backend.coco(place.workspace / "runs" / run, regions)
    if not sees_identifiers(actor):
        _mask(content, shown, run)
    return _attachment(request, place, run, "regions.coco.json", _json(content), "application/json")


def _mask(content: dict[str, Any], shown: Pictures, run: str) -> None:
    names = shown.image_ids(run)
    for image in content["images"]:
        image["file_name"] = names.get(image["file_name"], str(image["id"]))


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)


def _attachment(request: Request, place: Here, run: str, name: str, content: str, media: str) -> Response:
    """A file, and a line in the log that says who took it."""
    log_action(place.store, request, "export", run=run, file=name)
    return Response(content, media_type=media, headers={"Content-Disposition": f'attachment; filename="{run}-{name}"'})
