"""What a route may ask for: the place it works in, and who is asking. The gate has let them in already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from pipeline.review.backend import Backend
from pipeline.review.store import Store
from pipeline.review.values import ROLES, Actor, Role
from pipeline.review.web.access.config import AccessConfig


@dataclass(frozen=True)
class Here:
    """What the whole application works on."""

    store: Store
    workspace: Path
    backend: Backend
    access: AccessConfig


def here(request: Request) -> Here:
    """The application's own place."""
    place: Here = request.app.state.here
    return place


def viewer(request: Request) -> Actor:
    """Whoever is signed in."""
    actor: Actor | None = getattr(request.state, "actor", None)
    if actor is None:
        raise HTTPException(401, "Nobody is signed in.")
    return actor


def reviewer(actor: Annotated[Actor, Depends(viewer)]) -> Actor:
    """Whoever is signed in, if they may decide."""
    return _at_least(actor, "reviewer")


def admin(actor: Annotated[Actor, Depends(viewer)]) -> Actor:
    """Whoever is signed in, if they may start repairs, change settings and read the log."""
    return _at_least(actor, "admin")


def sees_identifiers(actor: Actor) -> bool:
    """Whether patients' identifiers and file names are shown to them."""
    return actor.role == "admin"


def _at_least(actor: Actor, role: Role) -> Actor:
    if ROLES.index(actor.role) < ROLES.index(role):
        raise HTTPException(403, f"This needs the role {role}; yours is {actor.role}.")
    return actor
