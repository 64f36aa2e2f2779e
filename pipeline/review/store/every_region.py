"""All regions of an audit with the verdicts in force, for exports."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from pipeline.review.store.in_force import in_force
from pipeline.review.store.tables import Finding, Item, Region


def every_region(session: Session, run: str) -> pd.DataFrame:
    """The regions of an audit that are not deleted, in the order of images.

    Returns:
        `region_id`, `image_id`, `kind`, `text`, `x0`, `y0`, `x1`, `y1` (original pixels), `detector`, `confidence`,
        `origin`, `finding`, `held_back`, `verdict` (its own, else that of its finding; null: none) and `decided_by`.

    Raises:
        Missing: no such audit.
    """
    ruled = in_force(session, run)
    columns = ("kind", "text", "x0", "y0", "x1", "y1", "detector", "confidence", "origin", "finding", "held_back")
    verdict = func.coalesce(Region.verdict, Finding.verdict).label("verdict")
    chosen = (
        select(Region.region.label("region_id"), Region.image.label("image_id"), verdict)
        .add_columns(*(getattr(Region, name) for name in columns))
        .join(Item, and_(Item.run == Region.run, Item.image == Region.image))
        .outerjoin(Finding, and_(Finding.run == Region.run, Finding.finding == Region.finding))
        .where(Region.run == run, ~Region.deleted)
        .order_by(Item.row, Region.region)
    )
    names = ["region_id", "image_id", "verdict", *columns]
    table = pd.DataFrame(session.execute(chosen).all(), columns=names)
    own = ruled.regions.set_index("region_id")["decided_by"]
    by_rule = {finding: ", ".join(ruling.reviewers) for finding, ruling in ruled.findings.items()}
    ruler = table["finding"].map(by_rule).astype("string")
    return table.assign(decided_by=table["region_id"].map(own).astype("string").fillna(ruler))
