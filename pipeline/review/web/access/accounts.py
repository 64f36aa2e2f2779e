"""Accounts: names, argon2id hashes of passwords, roles."""

from __future__ import annotations

import secrets
import threading
import unicodedata
from collections.abc import Sequence
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.errors import InputError, did_you_mean
from pipeline.review.store import Store
from pipeline.review.store.tables import User
from pipeline.review.values import Actor, Name, Role
from pipeline.review.web.access.log import note
from pipeline.review.web.access.sessions import end_all, now

SHORTEST = 12
LONGEST = 1024

_HASHER = PasswordHasher()
_AT_ONCE = threading.BoundedSemaphore(2)
"""Each hash takes 64 MiB: many people who sign in wait for each other."""


def check_password(store: Store, name: str, password: str) -> Actor | None:
    """Who this is; None where the name, the password or the account is no good, after the same time for all three."""
    nobody = _nobody()
    with store.reading() as session:
        user = session.get(User, name)
        stored = nobody if user is None else user.password
        actor = None if user is None or user.disabled else Actor.model_validate({"name": name, "role": user.role})
    return actor if _matches(stored, password) else None


def add_account(session: Session, name: str, password: str, role: Role, *, by: str) -> None:
    """Make an account.

    Args:
        session: a transaction.
        name: letters, digits, space and ``.@+-_``, 1 to 64 of them.
        password: see `check_rules`.
        role: viewer, reviewer or admin.
        by: who does it, for the log.

    Raises:
        InputError: the name is taken (small and capital letters alike) or not allowed, or the password is too weak.
    """
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        raise InputError(f"{name!r} cannot be a name. Allowed: 1 to 64 letters, digits, spaces and . @ + - _") from None
    for taken in session.scalars(select(User.name)):
        if taken.casefold() == name.casefold():
            raise InputError(f"There is an account {taken!r} already. Choose another name, or change that account.")
    check_rules(name, password)
    session.add(User(name=name, password=_hash(password), role=role, created=now()))
    note(session, by, "account added", account=name, role=role)


def accounts(session: Session) -> Sequence[User]:
    """All accounts, by name."""
    return session.scalars(select(User).order_by(User.name)).all()


def anybody(session: Session) -> bool:
    """Whether there is an account that can sign in."""
    return session.scalar(select(User.name).where(User.disabled.is_(False)).limit(1)) is not None


def set_password(session: Session, name: str, password: str, *, by: str) -> None:
    """Another password; every browser that is signed in as `name` is signed out.

    Raises:
        InputError: no such account, or the password is too weak.
    """
    user = account(session, name)
    check_rules(name, password)
    user.password = _hash(password)
    end_all(session, name)
    note(session, by, "password changed", account=name)


def set_role(session: Session, name: str, role: Role, *, by: str) -> None:
    """Another role, from the next request on.

    Raises:
        InputError: no such account.
    """
    account(session, name).role = role
    note(session, by, "role changed", account=name, role=role)


def set_disabled(session: Session, name: str, disabled: bool, *, by: str) -> None:
    """Lock an account, which ends its sessions at once, or unlock it. Accounts are never deleted: decisions name them.

    Raises:
        InputError: no such account.
    """
    account(session, name).disabled = disabled
    if disabled:
        end_all(session, name)
    note(session, by, "account disabled" if disabled else "account enabled", account=name)


def account(session: Session, name: str) -> User:
    """One account.

    Raises:
        InputError: there is none of this name.
    """
    user = session.get(User, name)
    if user is None:
        raise InputError(
            f"There is no account {name!r}. {did_you_mean(name, [each.name for each in accounts(session)])}"
        )
    return user


def check_rules(name: str, password: str) -> None:
    """Refuse passwords that are short, or the owner's name and little else.

    Raises:
        InputError: which rule it breaks.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise InputError(f"The password has {len(password)} characters; {SHORTEST} to {LONGEST} are allowed.")
    if len(password.casefold().replace(name.casefold(), "")) < SHORTEST // 2:
        raise InputError(
            "The password is little more than the name. Choose several words that have nothing to do with it."
        )


def _hash(password: str) -> str:
    return _HASHER.hash(_normal(password))


def _matches(stored: str, password: str) -> bool:
    with _AT_ONCE:
        try:
            return _HASHER.verify(stored, _normal(password))
        except (VerificationError, InvalidHashError):
            return False


def _normal(password: str) -> str:
    """The same characters, however a keyboard composes them (NIST SP 800-63B, 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


@cache
def _nobody() -> str:
    """The hash that names without an account are compared with."""
    return _HASHER.hash(secrets.token_urlsafe(32))
