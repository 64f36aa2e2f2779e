"""Signing in and out, and the log: the part of the API that is about people."""

from __future__ import annotations

import math
import threading
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from pipeline.review.store.conflict import Missing
from pipeline.review.store.tables import User
from pipeline.review.values import Actor, Name
from pipeline.review.web.access.accounts import LONGEST, check_password
from pipeline.review.web.access.attempts import Attempts
from pipeline.review.web.access.dependencies import Here, admin, here, viewer
from pipeline.review.web.access.gate import set_cookie
from pipeline.review.web.access.log import LogLine, address_of, lines, note
from pipeline.review.web.access.sessions import Sessions
from pipeline.review.web.api.failures import failures
from pipeline.review.web.rendering import render

router = APIRouter(prefix="/api", tags=["access"], responses=failures(400, 401, 403, 413, 421, 422, 503))
pages = APIRouter(include_in_schema=False)

Place = Annotated[Here, Depends(here)]

_WAITING = threading.BoundedSemaphore(16)
"""Of the server's threads, so many at most are busy with passwords: the others go on answering."""


class Credentials(BaseModel):
    """Who somebody says they are."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: Name
    password: str = Field(max_length=LONGEST)


@router.post("/login", summary="Sign in", responses=failures(404, 429))
def sign_in(request: Request, response: Response, credentials: Credentials, place: Place) -> Actor:
    """A session's cookie for a name and a password. 404 where the server is one person's, who came by a link. 429 after
    too many tries, with Retry-After.
    """
    if place.access.reviewer is not None:
        raise Missing("This server has no accounts: open the link that it printed in its terminal.")
    actor = _checked(request, place, credentials)
    sessions: Sessions = request.app.state.sessions
    cookie = sessions.begin(actor, instead_of=request.cookies.get(place.access.cookie))
    with place.store.writing() as session:
        note(session, actor.name, "sign in", address=address_of(request), by="password")
    set_cookie(response, place, cookie)
    return actor


@router.post("/logout", summary="Sign out", status_code=204)
def sign_out(request: Request, place: Place, actor: Annotated[Actor, Depends(viewer)]) -> Response:
    """Ends the session, and lets the browser forget pictures that it kept."""
    sessions: Sessions = request.app.state.sessions
    sessions.end(request.cookies[place.access.cookie])
    with place.store.writing() as session:
        note(session, actor.name, "sign out", address=address_of(request))
    response = Response(status_code=204, headers={"Clear-Site-Data": '"cache"'})
    response.delete_cookie(place.access.cookie, secure=place.access.secure, httponly=True, samesite="strict")
    return response


@router.get("/log", summary="The audit log, the newest first")
def log(
    place: Place,
    _: Annotated[Actor, Depends(admin)],
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="lines before this one")] = None,
) -> list[LogLine]:
    """Who signed in, failed to, changed accounts or settings, started repairs, exported. Admins only."""
    with place.store.reading() as session:
        return lines(session, limit, before)


@pages.get("/login")
def login(request: Request, place: Place) -> Response:
    """The form; whoever is signed in goes on."""
    if place.access.reviewer is not None or getattr(request.state, "actor", None) is not None:
        return RedirectResponse("/", 303)
    return render(request, "login.html.j2")


def _checked(request: Request, place: Here, credentials: Credentials) -> Actor:
    """Who it is; one and the same refusal for a wrong name, a wrong password and a disabled account."""
    attempts: Attempts = request.app.state.attempts
    address = address_of(request)
    _slow_down(attempts.take(credentials.name, address))
    if not _WAITING.acquire(blocking=False):
        _slow_down(1.0)
    try:
        actor = check_password(place.store, credentials.name, credentials.password)
    finally:
        _WAITING.release()
    if actor is None:
        _note_failure(place, credentials.name, address)
        raise HTTPException(401, "The name or the password is wrong, or the account is disabled.")
    attempts.give_back(credentials.name, address)
    return actor


def _note_failure(place: Here, name: str, address: str | None) -> None:
    with place.store.writing() as session:
        known = session.get(User, name) is not None
        # A name that is no account's may be a password in the wrong field.
        note(session, name if known else None, "failed sign in", address=address)


def _slow_down(seconds: float) -> None:
    if seconds > 0:
        wait = math.ceil(seconds)
        raise HTTPException(429, f"Too many tries. Try again in {wait} s.", headers={"Retry-After": str(wait)})
