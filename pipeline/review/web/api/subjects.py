"""Audits and images that an address names: looked up once, so that what is not in the review is not found anywhere."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path as Folder
from typing import Annotated

from fastapi import Depends, Path

from pipeline.review.pictures import Pictures
from pipeline.review.store.conflict import Missing
from pipeline.review.store.tables import Item, Run
from pipeline.review.values import Actor, ImageId, RegionId, RunId
from pipeline.review.web.access.dependencies import Here, admin, here, reviewer, viewer

Place = Annotated[Here, Depends(here)]
Viewer = Annotated[Actor, Depends(viewer)]
Reviewer = Annotated[Actor, Depends(reviewer)]
Admin = Annotated[Actor, Depends(admin)]

RunPath = Annotated[RunId, Path(description="the audit: name of its run folder")]
ImagePath = Annotated[ImageId, Path(description="sha256 of the image's decoded pixels")]
RegionPath = Annotated[RegionId, Path(description="the region")]


def known_run(run: RunPath, place: Place, _: Viewer) -> str:
    """The audit in the address.

    Raises:
        Missing: the review does not know it.
    """
    with place.store.reading() as session:
        if session.get(Run, run) is None:
            raise Missing(f"The review knows no audit {run!r}. See the list of audits.")
    return run


def known_image(run: RunPath, image: ImagePath, place: Place, _: Viewer) -> str:
    """The image in the address.

    Raises:
        Missing: the audit, or the image in it, is not there.
    """
    with place.store.reading() as session:
        if session.get(Item, (run, image)) is None:
            raise Missing(f"The audit {run!r} has no image {image}. Open its gallery again.")
    return image


def pictures(place: Place) -> Pictures:
    """The images of the workspace; what was opened for one request serves the next."""
    return _pictures(place.workspace)


@lru_cache(maxsize=4)
def _pictures(workspace: Folder) -> Pictures:
    return Pictures(workspace)


AuditRun = Annotated[str, Depends(known_run)]
Shown = Annotated[Pictures, Depends(pictures)]
AuditImage = Annotated[str, Depends(known_image)]
