"""Regions with the verdict in force for each: its own, else that of its finding."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from pipeline.review.store.bulk import read_frame
from pipeline.review.store.conflict import Missing
from pipeline.review.store.in_force import in_force
from pipeline.review.store.tables import Finding, Item, Region

_VERDICT = func.coalesce(Region.verdict, Finding.verdict)


def ruled_regions(session: Session, run: str) -> pd.DataFrame:
    """All regions of an audit that were not deleted, in the order of the images table.

    Returns:
        `region_id`, `image_id`, `kind`, `text`, `x0`, `y0`, `x1`, `y1` (original pixels), `confidence`, `detector`,
        `origin`, `finding`, `held_back`, `verdict` (in force) and `decided_by` (who gave it); unknown is null.

    Raises:
        Missing: no such audit.
    """
    more = (Region.confidence, Region.detector, Region.origin, Region.finding, Region.held_back)
    placed = and_(Item.run == Region.run, Item.image == Region.image)
    chosen = _select(run, *more, _VERDICT.label("verdict")).join(Item, placed).order_by(None)
    found = read_frame(session, chosen.order_by(Item.row, Region.region))
    ruling = in_force(session, run)
    own = ruling.regions.set_index("region_id")["decided_by"]
    by_rule = {finding: ", ".join(each.reviewers) for finding, each in ruling.findings.items()}
    decided_by = found["region_id"].map(own)
    return found.assign(decided_by=decided_by.where(decided_by.notna(), found["finding"].map(by_rule)).astype("string"))


def named_regions(session: Session, run: str, image: str, ids: list[str]) -> pd.DataFrame:
    """These regions of an image.

    Returns:
        `region_id`, `image_id`, `kind`, `text`, `x0`, `y0`, `x1`, `y1` (original pixels).

    Raises:
        Missing: one is not there or was deleted.
    """
    found = read_frame(session, _select(run).where(Region.image == image, Region.region.in_(ids)))
    unknown = sorted(set(ids) - set(found["region_id"]))
    if unknown:
        raise Missing(f"Image {image} has no region {unknown[0]}, or it was deleted. Load the image again.")
    return found


def removed_regions(session: Session, run: str, image: str) -> pd.DataFrame:
    """Regions of an image that a repair would fill with the decisions in force; columns as of `named_regions`.

    Those accepted themselves; those whose finding is accepted, unless the plan left them for a person. Marks found
    again on the cleansed image are remains of others: they are filled only where a person accepted them themselves.
    """
    own = Region.verdict == "accepted"
    detected = and_(Region.held_back.is_(None), Region.origin != "residual")
    by_rule = and_(Region.verdict.is_(None), Finding.verdict == "accepted", detected)
    return read_frame(session, _select(run).where(Region.image == image, or_(own, by_rule)))


def _select(run: str, *more: ColumnElement[Any] | Any) -> Select[Any]:
    names = (Region.region.label("region_id"), Region.image.label("image_id"), Region.kind, Region.text)
    joined = and_(Finding.run == Region.run, Finding.finding == Region.finding)
    chosen = select(*names, Region.x0, Region.y0, Region.x1, Region.y1, *more).outerjoin(Finding, joined)
    return chosen.where(Region.run == run, ~Region.deleted).order_by(Region.image, Region.region)
