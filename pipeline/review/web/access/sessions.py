"""Browsers that are signed in. The database knows the hash of a cookie, never the cookie."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, update
from sqlalchemy.orm import Session as Transaction

from pipeline.review.store import Store
from pipeline.review.store.tables import Session, User
from pipeline.review.values import Actor
from pipeline.review.web.access.config import AccessConfig

IDLE = timedelta(hours=12)
"""Without a request for so long, a browser is signed out."""
LONGEST = timedelta(days=7)
"""With requests, after so long."""
_EVERY = timedelta(minutes=10)
"""An end is moved in such steps, not with every request."""


@dataclass(frozen=True)
class SignedIn:
    """Who a request comes from."""

    actor: Actor
    csrf: str
    """What every request that changes something must repeat."""


def now() -> datetime:
    """The time that sessions end by."""
    return datetime.now(UTC)


class Sessions:
    """The sessions of one server. Those of the local mode and of accounts are never taken for each other."""

    def __init__(self, store: Store, access: AccessConfig) -> None:
        self._store = store
        self._reviewer = access.reviewer

    def begin(self, actor: Actor, *, instead_of: str | None = None) -> str:
        """Sign a browser in under a new cookie; what cookie it came with does not matter and ends.

        Returns:
            The cookie's value.
        """
        cookie, at = secrets.token_urlsafe(32), now()
        with self._store.writing() as session:
            session.execute(delete(Session).where(Session.expires < at))
            if instead_of:
                session.execute(delete(Session).where(Session.token == self._hash(instead_of)))
            session.add(
                Session(
                    token=self._hash(cookie),
                    user=actor.name,
                    role=actor.role,
                    csrf=secrets.token_urlsafe(32),
                    created=at,
                    expires=at + IDLE,
                )
            )
        return cookie

    def find(self, cookie: str | None) -> SignedIn | None:
        """Who has this cookie; None for an unknown or ended session, and for an account that is disabled."""
        if not cookie:
            return None
        token, at = self._hash(cookie), now()
        with self._store.reading() as session:
            found = session.get(Session, token)
            if found is None or found.expires <= at:
                return None
            role = found.role if self._reviewer is not None else _role(session.get(User, found.user))
        if role is None or self._reviewer not in (None, found.user):
            return None
        end = min(at + IDLE, found.created + LONGEST)
        if end - found.expires > _EVERY:
            with self._store.writing() as session:
                session.execute(update(Session).where(Session.token == token).values(expires=end))
        return SignedIn(Actor.model_validate({"name": found.user, "role": role}), found.csrf)

    def end(self, cookie: str) -> None:
        """Sign a browser out."""
        with self._store.writing() as session:
            session.execute(delete(Session).where(Session.token == self._hash(cookie)))

    def _hash(self, cookie: str) -> str:
        mode = "accounts" if self._reviewer is None else "local"
        return hashlib.sha256(f"{mode}:{cookie}".encode()).hexdigest()


def _role(user: User | None) -> str | None:
    """The role an account has now, whatever it was when its browser signed in."""
    return None if user is None or user.disabled else user.role


def end_all(session: Transaction, name: str) -> None:
    """Sign all browsers of an account out, as part of a transaction."""
    session.execute(delete(Session).where(Session.user == name))
