"""The one way in.

Without a session nothing is reached but the way to get one, and what changes something must prove that a page of ours
sent it.
"""

from __future__ import annotations

import hmac
from urllib.parse import quote, urlencode

from fastapi import HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.errors import CxrAuditError
from pipeline.review.values import Actor
from pipeline.review.web.access.dependencies import Here
from pipeline.review.web.access.log import address_of, note
from pipeline.review.web.access.sessions import Sessions, SignedIn
from pipeline.review.web.access.strangers import CSRF_HEADER, SAFE_METHODS, check_sender, is_own, limited
from pipeline.review.web.errors import refuse, refuse_error

SIGN_IN = "/api/login"
OPEN = ("/static/", "/login", SIGN_IN)
"""Reached without a session: exactly these, and what is below the first."""

_USED = (
    "This link was used already: each lets one browser in, once. "
    "The terminal in which cxr-audit review runs shows the next one."
)
_NO_LINK = "Open the link that cxr-audit review printed last in its terminal. It lets this browser in."
# A link from another site arrives without our cookie (SameSite=Strict). The same request from our own page has it.
_AGAIN = '<!DOCTYPE html><html lang="en"><meta http-equiv="refresh" content="0"><title>Opening …</title></html>'


class Gate:
    """ASGI middleware: knows who is asking, or sends them away. Sets `actor`, `csrf` and `accounts` of the state."""

    def __init__(self, app: ASGIApp, place: Here, sessions: Sessions) -> None:
        self._app = app
        self._place = place
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            answer = await self._enter(request)
            receive = limited(request, receive)
        except HTTPException as error:
            answer = refuse(request, error.status_code, error.detail)
        except CxrAuditError as error:
            answer = refuse_error(request, error)
        await (answer or self._app)(scope, receive, send)

    async def _enter(self, request: Request) -> Response | None:
        """None: go on. The state says who it is."""
        access = self._place.access
        check_sender(request, access)
        request.state.accounts = access.reviewer is None
        path = request.scope["path"]  # not of its URL, which is made of what the Host header says
        if path.startswith(OPEN[0]):
            return None
        token = request.query_params.get("token")
        if access.links is not None and path == "/" and request.method == "GET" and token is not None:
            return await run_in_threadpool(self._open_link, request, token)
        found = await run_in_threadpool(self._sessions.find, request.cookies.get(access.cookie))
        if found is None:
            return None if path in OPEN else self._unknown(request)
        request.state.actor, request.state.csrf = found.actor, found.csrf
        if path != SIGN_IN:
            _check_csrf(request, found)
        return None

    def _unknown(self, request: Request) -> Response:
        page = request.method == "GET" and not request.url.path.startswith("/api/")
        if page and not is_own(request):
            return HTMLResponse(_AGAIN)
        if self._place.access.reviewer is not None:
            return refuse(request, 401, _NO_LINK)
        if not page:
            return refuse(request, 401, "Nobody is signed in, or the session ended. Sign in again.")
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?{urlencode({'next': wanted}, quote_via=quote)}", 303)

    def _open_link(self, request: Request, token: str) -> Response:
        access = self._place.access
        if access.links is None or access.reviewer is None or not access.links.use(token):
            return refuse(request, 401, _USED)
        actor = Actor(name=access.reviewer, role="admin")
        cookie = self._sessions.begin(actor, instead_of=request.cookies.get(access.cookie))
        with self._place.store.writing() as session:
            note(session, actor.name, "sign in", address=address_of(request), by="link")
        response = RedirectResponse("/", 303)
        set_cookie(response, self._place, cookie)
        return response


def set_cookie(response: Response, place: Here, value: str) -> None:
    """Give a browser its session. It ends with the browser, or before: `Sessions` decides."""
    access = place.access
    response.set_cookie(access.cookie, value, path="/", secure=access.secure, httponly=True, samesite="strict")


def _check_csrf(request: Request, found: SignedIn) -> None:
    if request.method in SAFE_METHODS:
        return
    given = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(given.encode(), found.csrf.encode()):
        raise HTTPException(403, f"The header {CSRF_HEADER} is missing or old. Reload the page, then do it again.")
