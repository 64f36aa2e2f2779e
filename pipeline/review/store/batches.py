"""One action of one person, done once and as a whole: the frame of everything that changes a review.

An action locks its audit, so that actions in one audit follow one another; gets the next revision; appends what was
said to `decisions` or `edits`; and brings what follows from it up to date. All that in the caller's transaction: an
action that fails leaves nothing behind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, literal, select
from sqlalchemy.orm import Session

from pipeline import __version__
from pipeline.errors import InputError
from pipeline.review.store import derived
from pipeline.review.store.conflict import Missing
from pipeline.review.store.tables import Batch, Decision, Run
from pipeline.review.values import Action, Actor, Outcome

SOFTWARE = f"cxr-audit {__version__}"
VERSIONS = 1000
"""An answer tells the new versions of so many images."""


@dataclass(frozen=True)
class Asked:
    """Who asks for what in which audit."""

    run: str
    actor: Actor
    action: Action
    key: str
    content: str
    """All that the request says, in a fixed form; the versions its sender had seen are not part of it."""
    scope: str = "region"


@dataclass(frozen=True)
class Step:
    """An action that is being done, and what every row it appends says of it."""

    id: int
    audit: Run
    actor: Actor
    at: datetime
    revision: int

    @property
    def run(self) -> str:
        """The audit."""
        return self.audit.run

    def stamp(self) -> dict[str, Any]:
        """Columns that decisions and edits share."""
        return {"run": self.run, "reviewer": self.actor.name, "at": self.at, "software": SOFTWARE, "batch": self.id}

    def stamped(self) -> dict[str, ColumnElement[Any]]:
        """`stamp`, as expressions to select."""
        return {name: literal(value, Decision.__table__.c[name].type) for name, value in self.stamp().items()}


@dataclass(frozen=True)
class Prepared:
    """An action that was checked and found possible."""

    regions: int
    images: Sequence[str]
    """Those it is about, first the one to look at."""
    append: Callable[[Step], None]
    """Adds its rows to `decisions` or `edits`."""
    concerns: Collection[derived.Concern]
    """What these rows are about."""


def lock(session: Session, run: str) -> Run:
    """The audit, which nobody else changes until this transaction ends.

    Raises:
        Missing: there is none.
    """
    audit = session.get(Run, run, with_for_update=True, populate_existing=True)
    if audit is None:
        raise Missing(f"The review knows no audit {run!r}.")
    return audit


def perform(
    session: Session,
    asked: Asked,
    prepare: Callable[[Run], Prepared],
    reverts: int | None = None,
) -> Outcome:
    """Do an action, unless it was done before.

    Args:
        session: of a transaction that writes.
        asked: who wants what.
        prepare: checks the request; called with the audit locked.
        reverts: the batch that an undo or redo takes back.

    Returns:
        What was done, now or before.

    Raises:
        InputError: the key was used for another request; or as `prepare` does.
    """
    audit = lock(session, asked.run)
    done = repeated(session, asked)
    if done is not None:
        return done
    prepared = prepare(audit)
    audit.revision += 1
    outcome = {
        "action": asked.action,
        "regions": prepared.regions,
        "images": len(prepared.images),
        "versions": dict.fromkeys(prepared.images[:VERSIONS], audit.revision),
        "focus": prepared.images[0] if prepared.images else None,
        "revision": audit.revision,
    }
    batch = Batch(
        run=asked.run,
        key=asked.key,
        action=asked.action,
        scope=asked.scope,
        reviewer=asked.actor.name,
        at=now(),
        software=SOFTWARE,
        revision=audit.revision,
        request=_digest(asked),
        reverts=reverts,
        outcome=outcome,
    )
    session.add(batch)
    session.flush()
    prepared.append(Step(batch.id, audit, asked.actor, batch.at, batch.revision))
    derived.refresh(session, audit, batch.id, prepared.concerns)
    return _outcome(batch)


def repeated(session: Session, asked: Asked) -> Outcome | None:
    """The answer to a request that was done before.

    Raises:
        InputError: its key was used for another request.
    """
    batch = session.scalar(
        select(Batch).where(Batch.run == asked.run, Batch.reviewer == asked.actor.name, Batch.key == asked.key)
    )
    if batch is None:
        return None
    if batch.request != _digest(asked):
        raise InputError(f"The key {asked.key!r} was used for another request. Send a new key with a new request.")
    return _outcome(batch).model_copy(update={"repeated": True})


def now() -> datetime:
    """The time of an action, UTC."""
    return datetime.now(UTC)


def _outcome(batch: Batch) -> Outcome:
    return Outcome(batch=batch.id, **batch.outcome)


def _digest(asked: Asked) -> str:
    return hashlib.sha256(f"{asked.action}\x1f{asked.content}".encode()).hexdigest()
