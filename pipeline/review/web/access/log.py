"""The log of who came in, changed accounts or settings, started repairs and took data out. Append-only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.review.store import Store
from pipeline.review.store.tables import LogEntry
from pipeline.review.web.access.sessions import now


class LogLine(BaseModel):
    """One line of the log."""

    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)

    id: int
    at: datetime
    user: str | None
    action: str
    run: str | None
    detail: dict[str, Any]
    address: str | None


def note(
    session: Session,
    user: str | None,
    action: str,
    *,
    run: str | None = None,
    address: str | None = None,
    **detail: Any,
) -> None:
    """Append a line, as part of a transaction. Never a password, a cookie, or a name that is no account's."""
    session.add(LogEntry(at=now(), user=user, action=action, run=run, detail=detail, address=address))


def log_action(store: Store, request: Request, action: str, *, run: str | None = None, **detail: Any) -> None:
    """Append a line about what whoever is signed in does with a request, in a transaction of its own.

    Args:
        store: where to.
        request: gives the person and the address.
        action: e.g. "settings", "export", "repair started", "repair cancelled".
        run: the audit it is about.
        detail: facts for people; JSON values.
    """
    with store.writing() as session:
        note(session, request.state.actor.name, action, run=run, address=address_of(request), **detail)


def address_of(request: Request) -> str | None:
    """Where a request came from; behind a proxy that is trusted, what the proxy says."""
    return None if request.client is None else request.client.host[:64]


def lines(session: Session, limit: int, before: int | None = None) -> list[LogLine]:
    """The newest `limit` lines, of those before line `before`."""
    chosen = select(LogEntry).order_by(LogEntry.id.desc()).limit(limit)
    chosen = chosen if before is None else chosen.where(LogEntry.id < before)
    return [LogLine.model_validate(each) for each in session.scalars(chosen)]
