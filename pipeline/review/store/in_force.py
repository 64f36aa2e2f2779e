"""What is in force in an audit: the verdicts, who gave them, and every region that people judged or changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pandas as pd
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from pipeline.review.store.conflict import Missing
from pipeline.review.store.tables import Finding, Region, Run
from pipeline.review.store.verdicts import Ballot, Subject, ballots, counting_ballots
from pipeline.review.values import Verdict

COLUMNS = (
    "region_id", "image_id", "kind", "text", "x0", "y0", "x1", "y1", "detector", "confidence",
    "origin", "deleted", "edited", "verdict", "decided_by",
)  # fmt: skip


@dataclass(frozen=True)
class Ruling:
    """A verdict in force."""

    verdict: Verdict
    reviewers: tuple[str, ...]
    """Whose decisions it rests on: one, or the two who agreed."""
    comment: str
    """Theirs, one a line."""
    at: datetime
    """Of the latest of them."""
    software: str


@dataclass(frozen=True)
class InForce:
    """What is in force in an audit."""

    revision: int
    readers: int
    findings: dict[str, Ruling]
    """Finding id -> ruling, in the order of ranks; only those decided."""
    regions: pd.DataFrame
    """`COLUMNS`: regions with a verdict of their own, drawn, changed or deleted ones, by id. `verdict` and `decided_by`
    are null where a region follows its finding; a region that was drawn and deleted again is not among them."""


def in_force(session: Session, run: str) -> InForce:
    """The verdicts in force, and the regions that differ from what was found or have a verdict of their own.

    Raises:
        Missing: no such audit.
    """
    audit = session.get(Run, run)
    if audit is None:
        raise Missing(f"The review knows no audit {run!r}.")
    findings = rulings(session, audit, "finding")
    ranks = select(Finding.finding).where(Finding.run == run).order_by(Finding.rank)
    ranked = [finding for finding in session.scalars(ranks) if finding in findings]
    return InForce(audit.revision, audit.readers, {each: findings[each] for each in ranked}, _regions(session, audit))


def rulings(session: Session, audit: Run, subject: Subject) -> dict[str, Ruling]:
    """Subject id -> its verdict in force; those without one are left out."""
    cast = ballots(session, audit.run, subject)
    counting = {subject_id: counting_ballots(of_subject, audit.readers) for subject_id, of_subject in cast.items()}
    return {subject_id: _ruling(list(ballots)) for subject_id, ballots in counting.items() if ballots}


def _ruling(counting: list[Ballot]) -> Ruling:
    last = max(counting, key=lambda ballot: ballot.at)
    return Ruling(
        verdict=last.verdict,
        reviewers=tuple(ballot.reviewer for ballot in counting),
        comment="\n".join(dict.fromkeys(ballot.comment for ballot in counting if ballot.comment)),
        at=last.at,
        software=last.software,
    )


def _regions(session: Session, audit: Run) -> pd.DataFrame:
    touched = or_(Region.verdict.is_not(None), Region.edited, Region.deleted)
    undrawn = (Region.origin == "drawn") & Region.deleted
    rows = session.scalars(
        select(Region).where(Region.run == audit.run, touched, ~undrawn).order_by(Region.region)
    ).all()
    by = {region: ", ".join(ruling.reviewers) for region, ruling in rulings(session, audit, "region").items()}
    renamed = {"region_id": "region", "image_id": "image"}
    table = {
        name: [by.get(row.region) if name == "decided_by" else getattr(row, renamed.get(name, name)) for row in rows]
        for name in COLUMNS
    }
    return pd.DataFrame(table, columns=list(COLUMNS)).astype(
        {
            name: "string"
            for name in ("region_id", "image_id", "kind", "text", "detector", "origin", "verdict", "decided_by")
        }
        | {name: "float64" for name in ("x0", "y0", "x1", "y1", "confidence")}
        | {"deleted": "bool", "edited": "bool"}
    )
