"""Decisions: what a person says about a finding or about regions. Appended, never overwritten."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BindParameter, Insert, ScalarSelect, Select, and_, bindparam, func, insert, literal, null, select
from sqlalchemy.orm import Session, aliased

from pipeline.errors import InputError
from pipeline.review.store.batches import Asked, Prepared, Step, perform
from pipeline.review.store.changes import Scene, refuse_changed_regions, refuse_decided_finding, refuse_stale_images
from pipeline.review.store.scopes import reached_regions
from pipeline.review.store.tables import Decision, Finding, Item, Region, Run
from pipeline.review.store.verdicts import Subject, ballots, settles
from pipeline.review.values import VERDICTS, Actor, DecisionRequest, Outcome, Verdict
from pipeline.types import REGION_KINDS


def decidable(kind: str) -> tuple[Verdict, ...]:
    """Verdicts that a finding of this kind can get: what is no region cannot be removed from images."""
    return tuple(verdict for verdict in VERDICTS if verdict != "accepted" or kind in REGION_KINDS)


def decide(session: Session, run: str, actor: Actor, request: DecisionRequest) -> Outcome:
    """Append a decision for each subject that the request reaches.

    Args:
        session: of a transaction that writes.
        run: the audit.
        actor: who decides.
        request: what.

    Raises:
        Missing: no such audit, finding, region or image.
        InputError: a verdict that the finding cannot get, or nothing to decide about or to take back.
        Conflict: somebody else changed what it is about.
    """
    content = request.model_dump_json(include={"target", "verdict", "comment"})
    asked = Asked(run, actor, "decide", request.key, content, request.target.scope)
    return perform(session, asked, lambda audit: _prepared(session, audit, actor, request))


def _prepared(session: Session, audit: Run, actor: Actor, request: DecisionRequest) -> Prepared:
    reached = reached_regions(session, audit.run, request.target)
    _require_decidable(session, audit.run, request)
    _refuse_outdated(session, audit, actor, request, reached)
    subject: Subject = "region" if request.target.finding is None else "finding"
    subjects = _subjects(audit.run, request.target.finding, reached)
    settled: list[str] = []
    if request.verdict is None:
        subjects = _decided_by(session, audit.run, actor, subject, subjects)
        reached = reached if subject == "finding" else subjects
    elif audit.readers == 2:
        cast = ballots(session, audit.run, subject, subjects)
        settled = [subject_id for subject_id, of_subject in cast.items() if settles(of_subject, actor)]

    def append(step: Step) -> None:
        session.execute(_insertion(step, subject, subjects, request, settled))

    images = dict(session.execute(_images(reached)).tuples().all())
    return Prepared(sum(images.values()), list(images), append, (subject,))


def _require_decidable(session: Session, run: str, request: DecisionRequest) -> None:
    finding = None if request.target.finding is None else session.get(Finding, (run, request.target.finding))
    if finding is None or request.verdict in (None, *decidable(finding.kind)):
        return
    raise InputError(
        f"{finding.finding} ({finding.kind}) has no regions that could be removed from images, so it cannot be "
        "accepted for repair. Decide rejected, keep or unsure, with a comment."
    )


def _refuse_outdated(
    session: Session, audit: Run, actor: Actor, request: DecisionRequest, reached: Select[Any]
) -> None:
    refuse_stale_images(session, Scene(audit, actor), request.expected)
    if request.revision is None:
        return
    scene = Scene(audit, actor, min(request.revision, audit.revision))
    if request.target.finding is None:
        refuse_changed_regions(session, scene, reached)
    else:
        refuse_decided_finding(session, scene, request.target.finding)


def _subjects(run: str, finding: str | None, reached: Select[Any]) -> Select[Any]:
    """Ids of the subjects of a decision."""
    return reached if finding is None else select(Finding.finding).where(Finding.run == run, Finding.finding == finding)


def _decided_by(session: Session, run: str, actor: Actor, subject: Subject, subjects: Select[Any]) -> Select[Any]:
    """Of these subjects those that the actor decided about.

    Raises:
        InputError: none.
    """
    last = latest(run, actor, subject, subjects.selected_columns[0])
    own = subjects.where(select(Decision.verdict).where(Decision.id == last).scalar_subquery().is_not(None))
    if session.scalar(own.limit(1)) is None:
        raise InputError("There is no decision of yours here that could be taken back.")
    return own


def _images(regions: Select[Any]) -> Select[tuple[str, int]]:
    """Ids of the images of these regions, and how many are on each, in the order of the images."""
    return (
        regions.join(Item, and_(Item.run == Region.run, Item.image == Region.image))
        .with_only_columns(Item.image, func.count())
        .group_by(Item.image, Item.row)
        .order_by(Item.row)
    )


def _insertion(
    step: Step, subject: Subject, subjects: Select[Any], request: DecisionRequest, settled: list[str]
) -> Insert:
    its_id = subjects.selected_columns[0]
    # Written into the statement: they may be more than a statement takes as parameters.
    among: BindParameter[Any] = bindparam("settled", settled, expanding=True, literal_execute=True)
    columns = {
        **step.stamped(),
        "subject": literal(subject),
        "subject_id": its_id,
        "image": Region.image if subject == "region" else null(),
        "verdict": literal(request.verdict, Decision.verdict.type),
        "comment": literal(request.comment),
        "adjudicates": its_id.in_(among) if settled else literal(False),
        "supersedes": latest(step.run, step.actor, subject, its_id),
        "standing": literal(step.revision),
    }
    return insert(Decision).from_select(list(columns), subjects.with_only_columns(*columns.values()))


def latest(run: str, actor: Actor, subject: Any, subject_id: Any) -> ScalarSelect[Any]:
    """Id of an actor's latest decision on a subject."""
    earlier = aliased(Decision)
    return (
        select(func.max(earlier.id))
        .where(
            earlier.run == run,
            earlier.subject == subject,
            earlier.subject_id == subject_id,
            earlier.reviewer == actor.name,
        )
        .scalar_subquery()
    )
