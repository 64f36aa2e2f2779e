"""Undo and redo of a person's own actions, and the log of decisions.

Undo appends what takes an action back; nothing is removed. Each person has one stack for each audit: undo takes back
the latest action not yet taken back, redo the latest undo; a new action ends what could be redone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Insert, Select, false, func, insert, literal, or_, select
from sqlalchemy.orm import Session, aliased

from pipeline.errors import InputError
from pipeline.review.store.batches import Asked, Prepared, Step, lock, perform, repeated
from pipeline.review.store.changes import Scene, refuse_changed_subjects, visible
from pipeline.review.store.conflict import Missing
from pipeline.review.store.decisions import latest
from pipeline.review.store.derived import Concern, touched_images
from pipeline.review.store.edits import take_back
from pipeline.review.store.tables import Batch, Decision, Edit, Item, Region, Run
from pipeline.review.values import Action, Actor, DecisionRecord, Outcome, StepRequest


def undo(session: Session, run: str, actor: Actor, request: StepRequest) -> Outcome:
    """Take back the actor's latest action that is not yet taken back.

    Raises:
        Missing: no such audit.
        InputError: nothing to undo.
        Conflict: somebody else has since changed one of the things that the action changed.
    """
    return _revert(session, Asked(run, actor, "undo", request.key, ""))


def redo(session: Session, run: str, actor: Actor, request: StepRequest) -> Outcome:
    """Take back the actor's latest undo, if nothing new was done after it.

    Raises:
        Missing: no such audit.
        InputError: nothing to redo.
        Conflict: somebody else has since changed one of the things that the undo changed.
    """
    return _revert(session, Asked(run, actor, "redo", request.key, ""))


def history(
    session: Session,
    run: str,
    image_id: str | None = None,
    limit: int = 100,
    before: int | None = None,
    actor: Actor | None = None,
) -> list[DecisionRecord]:
    """The log of decisions, latest first.

    Args:
        session: of the database.
        run: the audit.
        image_id: of this image's regions and of the findings that name them; null: all.
        limit: so many at most.
        before: only those with smaller ids, to read on.
        actor: who asks: with two readers, what the other decided is left out until both did; null: everything.

    Raises:
        Missing: no such audit.
    """
    chosen = records(session, run, actor).order_by(Decision.id.desc()).limit(limit)
    if image_id is not None:
        named = select(Region.finding).where(Region.run == run, Region.image == image_id, Region.finding.is_not(None))
        ruled = (Decision.subject == "finding") & Decision.subject_id.in_(named)
        chosen = chosen.where(or_(Decision.image == image_id, ruled))
    if before is not None:
        chosen = chosen.where(Decision.id < before)
    return [record(decision, action) for decision, action in session.execute(chosen)]


def records(session: Session, run: str, actor: Actor | None) -> Select[tuple[Decision, str]]:
    """Decisions that `actor` may see, with their batches' actions.

    Raises:
        Missing: no such audit.
    """
    audit = session.get(Run, run)
    if audit is None:
        raise Missing(f"The review knows no audit {run!r}.")
    return select(Decision, Batch.action).join(Batch, Batch.id == Decision.batch).where(visible(audit, actor))


def record(decision: Decision, action: Any) -> DecisionRecord:
    """A row of the log as the page and the exports show it."""
    return DecisionRecord.model_validate(
        {
            name: getattr(decision, "image" if name == "image_id" else name)
            for name in DecisionRecord.model_fields
            if name != "action"
        }
        | {"action": action}
    )


def _revert(session: Session, asked: Asked) -> Outcome:
    lock(session, asked.run)
    done = repeated(session, asked)
    if done is not None:
        return done
    batch = _top(session, asked)
    if batch is None:
        raise InputError(f"There is nothing of yours to {asked.action} in this audit.")

    concerns = _concerns(session, batch.id)

    def prepare(audit: Run) -> Prepared:
        refuse_changed_subjects(session, Scene(audit, asked.actor, batch.revision), batch.id)
        here = select(Item.image).where(
            Item.run == asked.run, Item.image.in_(touched_images(asked.run, batch.id, concerns))
        )
        images = list(session.scalars(here.order_by(Item.row)))
        return Prepared(batch.outcome["regions"], images, append, concerns)

    def append(step: Step) -> None:
        session.execute(_restoration(step, batch.id))
        for edit in session.scalars(select(Edit).where(Edit.batch == batch.id)).all():
            take_back(session, step, edit)

    return perform(session, asked, prepare, reverts=batch.id)


def _concerns(session: Session, batch: int) -> list[Concern]:
    decided = select(Decision.subject).where(Decision.batch == batch).distinct()
    edited = select(literal("edit")).where(select(Edit).where(Edit.batch == batch).exists())
    return [*session.scalars(decided), *session.scalars(edited)]


def _top(session: Session, asked: Asked) -> Batch | None:
    """The batch to take back: none where the actor's stack is empty."""
    reverted = aliased(Batch)
    own = select(Batch).where(Batch.run == asked.run, Batch.reviewer == asked.actor.name)
    standing = own.where(~select(reverted).where(reverted.reverts == Batch.id).exists()).order_by(Batch.id.desc())
    if asked.action == "undo":
        return session.scalar(standing.where(Batch.action != "undo").limit(1))
    undone = session.scalar(standing.where(Batch.action == "undo").limit(1))
    steps: tuple[Action, ...] = ("undo", "redo")
    if undone is None or session.scalar(own.where(Batch.id > undone.id, Batch.action.not_in(steps)).limit(1)):
        return None
    return undone


def _restoration(step: Step, batch: int) -> Insert:
    """Append, for each decision of a batch, the one that it superseded, with the standing it had."""
    made, prior = aliased(Decision), aliased(Decision)
    columns = {
        **step.stamped(),
        "subject": made.subject,
        "subject_id": made.subject_id,
        "image": made.image,
        "verdict": prior.verdict,
        "comment": func.coalesce(prior.comment, ""),
        "adjudicates": func.coalesce(prior.adjudicates, false()),
        "supersedes": latest(step.run, step.actor, made.subject, made.subject_id),
        "standing": func.coalesce(prior.standing, literal(step.revision)),
    }
    restored = select(*columns.values()).outerjoin_from(made, prior, prior.id == made.supersedes)
    return insert(Decision).from_select(list(columns), restored.where(made.batch == batch))
