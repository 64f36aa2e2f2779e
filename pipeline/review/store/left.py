"""What a reader has left to decide where two readers decide everything."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.review.store.tables import Finding, Region
from pipeline.review.store.verdicts import Ballot, ballots
from pipeline.review.values import Actor


def left_for(session: Session, run: str, actor: Actor, images: Collection[str]) -> set[str]:
    """Those of `images` with a region that is not settled and that `actor` has not yet decided.

    A reader's decision on a finding is one on its regions. A conflict is left for whoever is none of its readers, and
    for admins.
    """
    here = (Region.run == run, Region.image.in_(images), ~Region.deleted, Region.status != "decided")
    regions = session.execute(select(Region.region, Region.image, Region.finding, Region.status).where(*here)).all()
    settled = set(session.scalars(select(Finding.finding).where(Finding.run == run, Finding.status == "decided")))
    own_rules = {finding for finding, cast in ballots(session, run, "finding").items() if _took_part(cast, actor)}
    cast = ballots(session, run, "region", select(Region.region).where(*here))
    left = set()
    for region, image, finding, status in regions:
        if status == "conflict":
            waits = actor.role == "admin" or not _took_part(cast[region], actor)
        else:
            waits = finding not in settled and finding not in own_rules and not _took_part(cast.get(region, ()), actor)
        if waits:
            left.add(image)
    return left


def _took_part(cast: Collection[Ballot], actor: Actor) -> bool:
    return any(ballot.reviewer == actor.name for ballot in cast)
