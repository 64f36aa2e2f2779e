"""Which verdict is in force when several people decided: the one place that knows the rule for one and two readers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from pipeline.review.store.tables import Decision
from pipeline.review.values import Actor, Status, Verdict

Subject = Literal["finding", "region"]


@dataclass(frozen=True)
class Ballot:
    """A person's present decision on a subject."""

    reviewer: str
    verdict: Verdict
    adjudicates: bool
    standing: int
    comment: str
    at: datetime
    software: str


def ballots(
    session: Session, run: str, subject: Subject, subjects: Select[Any] | None = None
) -> dict[str, list[Ballot]]:
    """Subject id -> what each person decided last, without those who took it back, in the order of their standing.

    Subjects that nobody ever decided about are left out.

    Args:
        session: of the database.
        run: the audit.
        subject: findings or regions.
        subjects: their ids; null: all.
    """
    last = select(func.max(Decision.id)).where(Decision.run == run, Decision.subject == subject)
    if subjects is not None:
        last = last.where(Decision.subject_id.in_(subjects))
    last = last.group_by(Decision.subject_id, Decision.reviewer)
    present = select(
        Decision.subject_id,
        Decision.reviewer,
        Decision.verdict,
        Decision.adjudicates,
        Decision.standing,
        Decision.comment,
        Decision.at,
        Decision.software,
    ).where(Decision.id.in_(last))
    found: dict[str, list[Ballot]] = {}
    for subject_id, *cast in session.execute(present.order_by(Decision.standing)):
        ballot = Ballot(*cast)
        of_subject = found.setdefault(subject_id, [])
        if ballot.verdict is not None:
            of_subject.append(ballot)
    return found


def in_force(cast: Sequence[Ballot], readers: int) -> tuple[Verdict | None, Status]:
    """The verdict in force and the state of a subject.

    One reader: the latest decision counts, whoever made it. Two readers: equal verdicts of different people count,
    unequal ones are a conflict, and the latest decision that settled a conflict counts before all others.

    Args:
        cast: what each person decided, in the order of standing.
        readers: 1 or 2.
    """
    if not cast:
        return None, "open"
    counting = counting_ballots(cast, readers)
    if counting:
        return counting[-1].verdict, "decided"
    return None, "second" if len(cast) == 1 else "conflict"


def counting_ballots(cast: Sequence[Ballot], readers: int) -> Sequence[Ballot]:
    """The decisions that the verdict in force rests on, in the order of standing; none where no verdict is in force."""
    if readers == 1:
        return cast[-1:]
    settled = [ballot for ballot in cast if ballot.adjudicates]
    if settled:
        return settled[-1:]
    agreed = len(cast) > 1 and len({ballot.verdict for ballot in cast}) == 1
    return cast if agreed else ()


def settles(cast: Iterable[Ballot], actor: Actor) -> bool:
    """Does a decision of `actor` settle this subject, because readers disagree and it is for the actor to say?

    It is for whoever is none of those who disagree, for an admin, even if one of them, and for who settled it before.
    """
    cast = list(cast)
    if any(ballot.adjudicates and ballot.reviewer == actor.name for ballot in cast):
        return True
    readers = [ballot for ballot in cast if not ballot.adjudicates]
    others = readers if actor.role == "admin" else [ballot for ballot in readers if ballot.reviewer != actor.name]
    return len({ballot.verdict for ballot in others}) > 1
