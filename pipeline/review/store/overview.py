"""Audits and their findings, with counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from pipeline.review.store.catalogue import catalogue
from pipeline.review.store.conflict import Missing
from pipeline.review.store.status import OPEN, SECOND
from pipeline.review.store.tables import Finding, Item, Run
from pipeline.review.store.verdicts import ballots
from pipeline.review.values import VERDICTS, Actor, AuditFacts, FindingView, Verdict
from pipeline.types import REGION_KINDS


def audits(session: Session) -> list[AuditFacts]:
    """All audits, the newest first. `images` are split into `open` (something on them is left to decide, conflicts
    included) and `decided`; `conflicts` are regions.
    """
    return _facts(session, None)


def audit(session: Session, run: str) -> AuditFacts:
    """One audit, as `audits` describes it.

    Raises:
        Missing: the review knows no such audit.
    """
    found = _facts(session, run)
    if not found:
        raise Missing(f"The review knows no audit {run!r}.")
    return found[0]


def anything_left(session: Session, run: str) -> bool:
    """Whether a finding or a region of an audit is open, waits for a second reader, or is in conflict."""
    finding = select(Finding.finding).where(Finding.run == run, Finding.status != "decided")
    image = select(Item.image).where(Item.run == run, Item.open + Item.conflicts > 0)
    return any(session.scalar(each.limit(1)) is not None for each in (finding, image))


def findings(session: Session, run: str, actor: Actor) -> list[FindingView]:
    """The findings of an audit by rank. `open`: regions that nobody and no rule decided; `own`: the actor's verdict.

    A finding about no region cannot be accepted: nothing could be removed.

    Raises:
        Missing: the review knows no such audit.
    """
    readers = session.scalar(select(Run.readers).where(Run.run == run))
    if readers is None:
        raise Missing(f"The review knows no audit {run!r}.")
    counts = _counts_by_finding(session, run)
    cast = ballots(session, run, "finding")
    own = {
        finding: ballot.verdict for finding, every in cast.items() for ballot in every if ballot.reviewer == actor.name
    }
    found = session.scalars(select(Finding).where(Finding.run == run).order_by(Finding.rank))
    return [_view(finding, counts.get(finding.finding, (0, 0)), own.get(finding.finding)) for finding in found]


def _view(finding: Finding, counts: tuple[int, int], own: Verdict | None) -> FindingView:
    images, unsettled = counts
    told = finding.payload.get("images")
    return FindingView(
        id=finding.finding,
        rank=finding.rank,
        kind=finding.kind,
        text=finding.text,
        title=finding.title,
        status=finding.audit_status,
        review=finding.status,
        verdict=finding.verdict,
        own=own,
        decidable=VERDICTS if finding.kind in REGION_KINDS else tuple(each for each in VERDICTS if each != "accepted"),
        regions=finding.regions,
        open=unsettled,
        images=images if finding.regions else told if isinstance(told, int) else 0,
        payload=finding.payload,
    )


def _counts_by_finding(session: Session, run: str) -> dict[str, tuple[int, int]]:
    """Finding -> images with a region of it, and its regions that are open or wait for a second reader."""
    found = catalogue(session, run)
    table = found.regions[["finding", "row"]].assign(open=np.isin(found.tally.state, (OPEN, SECOND)))
    groups = table.groupby("finding", observed=True)
    images, unsettled = groups["row"].nunique(), groups["open"].sum()
    return {str(finding): (int(images[finding]), int(unsettled[finding])) for finding in images.index}


def _facts(session: Session, run: str | None) -> list[AuditFacts]:
    chosen = select(Run).order_by(Run.registered.desc(), Run.run)
    found = session.scalars(chosen if run is None else chosen.where(Run.run == run)).all()
    images = {name: counts for name, *counts in session.execute(_image_counts(run))}
    statuses: dict[str, dict[str, int]] = {}
    waiting: dict[str, int] = {}
    for name, status, review, number in session.execute(_finding_counts(run)):
        by_status = statuses.setdefault(name, {})
        by_status[status] = by_status.get(status, 0) + number
        waiting[name] = waiting.get(name, 0) + (number if review != "decided" else 0)
    return [_fact(each, images.get(each.run, [0, 0, 0, 0]), statuses.get(each.run, {}), waiting) for each in found]


def _image_counts(run: str | None) -> Any:
    left = func.sum(case((Item.open + Item.conflicts > 0, 1), else_=0))
    counts = select(Item.run, func.count(), func.sum(Item.regions), left, func.sum(Item.conflicts)).group_by(Item.run)
    return counts if run is None else counts.where(Item.run == run)


def _finding_counts(run: str | None) -> Any:
    by = (Finding.run, Finding.audit_status, Finding.status)
    counts = select(*by, func.count()).group_by(*by).order_by(*by)
    return counts if run is None else counts.where(Finding.run == run)


def _fact(each: Run, counts: list[int], statuses: dict[str, int], waiting: dict[str, int]) -> AuditFacts:
    images, regions, left, conflicts = counts
    return AuditFacts(
        run=each.run,
        dataset=each.dataset,
        title=each.title,
        classes=tuple(each.classes),
        positive=each.positive,
        images=images,
        regions=regions,
        open=left,
        decided=images - left,
        conflicts=conflicts,
        findings=statuses,
        findings_open=waiting.get(each.run, 0),
        readers=2 if each.readers == 2 else 1,
        blind=each.blind,
        revision=each.revision,
        registered=each.registered,
    )
