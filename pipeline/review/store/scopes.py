"""What a decision reaches: one region, or all that stand alike, look alike, or are on selected images."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from pipeline.errors import InputError
from pipeline.review.store.conflict import Missing
from pipeline.review.store.tables import Finding, Item, Region, Run
from pipeline.review.store.verdicts import ballots
from pipeline.review.values import Actor, Reach, Target


def reach(session: Session, run: str, actor: Actor, target: Target) -> Reach:
    """Count what a decision of `actor` would reach.

    Raises:
        Missing: no such audit, finding, region or image.
        InputError: nothing there to decide about.
    """
    audit = session.get(Run, run)
    if audit is None:
        raise Missing(f"The review knows no audit {run!r}.")
    reached = reached_regions(session, run, target)
    rows = session.execute(reached.with_only_columns(Region.image, Region.kind)).all()
    cast = ballots(session, run, "region", reached).values()
    deciders = [{ballot.reviewer for ballot in of_region} for of_region in cast]
    return Reach(
        regions=len(rows),
        images=len({image for image, _ in rows}),
        by_kind=dict(sorted(Counter(kind for _, kind in rows).items())),
        decided=sum(actor.name in names for names in deciders),
        by_others=sum(bool(names - {actor.name}) for names in deciders),
        revision=audit.revision,
    )


def reached_regions(session: Session, run: str, target: Target) -> Select[Any]:
    """Ids of the regions that a target reaches, deleted ones left out; for a finding those that its rule is for.

    Raises:
        Missing: no such finding, region or image.
        InputError: a scope that does not fit, a region that was deleted, or no region at all.
    """
    regions = select(Region.region).where(Region.run == run, ~Region.deleted)
    if target.finding is not None:
        return regions.where(Region.finding == _finding(session, run, target).finding)
    if target.regions:
        _all_present(session, run, target.regions)
        return regions.where(_alike(session, run, target))
    _all_there(session, run, target.images)
    reached = regions.where(Region.image.in_(set(target.images)))
    reached = reached if target.kind is None else reached.where(Region.kind == target.kind)
    if session.scalar(reached.limit(1)) is None:
        raise InputError("There is no region to decide about: the selected images have none of that kind.")
    return reached


def _finding(session: Session, run: str, target: Target) -> Finding:
    finding = session.get(Finding, (run, target.finding))
    if finding is None:
        raise Missing(f"The audit {run} has no finding {target.finding!r}.")
    if target.scope != "region":
        raise InputError(f"Scope {target.scope!r} is for regions; a finding's decision is a rule for all its regions.")
    return finding


def _alike(session: Session, run: str, target: Target) -> ColumnElement[bool]:
    """Which regions a target with `regions` reaches, themselves included."""
    themselves = Region.region.in_(set(target.regions))

    def theirs(*columns: InstrumentedAttribute[Any]) -> list[Any]:
        return list(session.execute(select(*columns).where(Region.run == run, themselves).distinct()).all())

    if target.scope == "image":
        return Region.image.in_([image for (image,) in theirs(Region.image)])
    if target.scope == "same-cluster":
        return or_(themselves, Region.cluster.in_([cluster for (cluster,) in theirs(Region.cluster) if cluster]))
    if target.scope == "same-text-and-place":
        stands = theirs(Region.kind, Region.text, Region.place)
        return or_(
            *(
                and_(Region.kind == kind, Region.text.is_not_distinct_from(text), Region.place == place)
                for kind, text, place in stands
            )
        )
    return themselves


def _all_present(session: Session, run: str, wanted: tuple[str, ...]) -> None:
    known = select(Region.region, Region.deleted).where(Region.run == run, Region.region.in_(set(wanted)))
    found = dict(session.execute(known).tuples().all())
    unknown = [region for region in wanted if region not in found]
    if unknown:
        raise Missing(f"The audit {run} has no region {unknown[0]!r}.")
    deleted = [region for region in wanted if found[region]]
    if deleted:
        raise InputError(f"The region {deleted[0]!r} was deleted. Whoever deleted it can undo that.")


def _all_there(session: Session, run: str, wanted: tuple[str, ...]) -> None:
    found = set(session.scalars(select(Item.image).where(Item.run == run, Item.image.in_(set(wanted)))))
    unknown = [image for image in wanted if image not in found]
    if unknown:
        raise Missing(f"The audit {run} has no image {unknown[0]!r}.")
