"""What follows from decisions and edits, kept beside them for speed: verdicts, states, versions and counts.

Nothing here is a source of truth: `rebuild` makes all of it anew from the append-only tables.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal, get_args

from sqlalchemy import CompoundSelect, ScalarSelect, Select, and_, func, or_, select, union, update
from sqlalchemy.orm import Session

from pipeline.review.store.tables import Decision, Edit, Finding, Item, Region, Run
from pipeline.review.store.verdicts import Subject, ballots, in_force

Concern = Literal["finding", "region", "edit"]
"""What an action can be about: decisions on findings, decisions on regions, edits."""
SUBJECTS: tuple[Subject, ...] = get_args(Subject)

_AT_ONCE = 5_000
"""Ids in one statement; databases limit the parameters of a statement."""


def rebuild(session: Session, run: str) -> None:
    """Bring all derived columns of an audit up to date, versions aside, because its rows or its settings are new."""
    audit = session.get_one(Run, run)
    for subject in SUBJECTS:
        _rule(session, audit, subject, None)
    _count_findings(session, run)
    session.execute(update(Item).where(Item.run == run).values(**_counts(run)))


def refresh(session: Session, audit: Run, batch: int, concerns: Collection[Concern]) -> None:
    """Bring the derived columns up to date after an action.

    Args:
        session: of the transaction.
        audit: its row, with the new revision.
        batch: the action.
        concerns: what it is about: nothing else is looked at.
    """
    for subject in SUBJECTS:
        if subject in concerns:
            decided = select(Decision.subject_id).where(Decision.batch == batch, Decision.subject == subject)
            _rule(session, audit, subject, decided)
    if "edit" in concerns:
        _count_findings(session, audit.run)
    touched = Item.image.in_(touched_images(audit.run, batch, concerns))
    values = {"version": audit.revision, **_counts(audit.run)}
    session.execute(update(Item).where(Item.run == audit.run, touched).values(**values))


def touched_images(run: str, batch: int, concerns: Collection[Concern]) -> CompoundSelect[Any]:
    """Ids of the images that an action is about: of its regions, and of those that a finding's decision rules."""
    ruled = select(Decision.subject_id).where(Decision.batch == batch, Decision.subject == "finding")
    images: dict[Concern, Select[Any]] = {
        "region": select(Decision.image).where(Decision.batch == batch, Decision.subject == "region"),
        "finding": select(Region.image).where(Region.run == run, ~Region.deleted, Region.finding.in_(ruled)),
        "edit": select(Edit.image).where(Edit.batch == batch),
    }
    return union(*(images[concern] for concern in concerns))


def _rule(session: Session, audit: Run, subject: Subject, decided: Select[Any] | None) -> None:
    """Set verdict and status of `decided` subjects, or of all."""
    cast = ballots(session, audit.run, subject, decided)
    groups: dict[tuple[str | None, str], list[str]] = defaultdict(list)
    for subject_id, of_subject in cast.items():
        groups[in_force(of_subject, audit.readers)].append(subject_id)
    table, id_column = (Finding, Finding.finding) if subject == "finding" else (Region, Region.region)
    statement = update(table).where(table.run == audit.run)
    if decided is None:
        session.execute(statement.where(table.status != "open").values(verdict=None, status="open"))
    for (verdict, status), ids in groups.items():
        for chunk in _chunks(ids):
            session.execute(statement.where(id_column.in_(chunk)).values(verdict=verdict, status=status))


def _chunks(ids: Iterable[str]) -> Iterable[Sequence[str]]:
    ids = list(ids)
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))


def _count_findings(session: Session, run: str) -> None:
    named = select(func.count()).where(Region.run == run, Region.finding == Finding.finding, ~Region.deleted)
    session.execute(update(Finding).where(Finding.run == run).values(regions=named.scalar_subquery()))


def _counts(run: str) -> dict[str, ScalarSelect[int]]:
    ruled = select(Finding.finding).where(Finding.run == run, Finding.status == "decided")
    here = and_(Region.run == run, Region.image == Item.image, ~Region.deleted)
    unruled = or_(Region.finding.is_(None), Region.finding.not_in(ruled))
    return {
        name: select(func.count()).select_from(Region).where(here, *further).scalar_subquery()
        for name, further in {
            "regions": (),
            "open": (Region.status.in_(("open", "second")), unruled),
            "conflicts": (Region.status == "conflict",),
        }.items()
    }
