"""The review page as one ASGI application."""

from __future__ import annotations

from pathlib import Path

from fastapi import Depends, FastAPI, Request
from fastapi.staticfiles import StaticFiles
from starlette.middleware import Middleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.responses import Response
from starlette.types import Scope

from pipeline import __version__
from pipeline.review.backend import Backend
from pipeline.review.store import Store
from pipeline.review.web.access import routes
from pipeline.review.web.access.attempts import Attempts
from pipeline.review.web.access.config import AccessConfig
from pipeline.review.web.access.dependencies import Here
from pipeline.review.web.access.gate import Gate
from pipeline.review.web.access.headers import SecurityHeaders
from pipeline.review.web.access.sessions import Sessions
from pipeline.review.web.api import api_router
from pipeline.review.web.arrivals import Arrivals
from pipeline.review.web.errors import add_handlers
from pipeline.review.web.pages import pages_router

STATIC = Path(__file__).parent / "static"


def create_app(store: Store, workspace: Path, backend: Backend, access: AccessConfig) -> FastAPI:
    """The application; several in one process do not meet.

    Args:
        store: decisions, accounts and sessions.
        workspace: whose finished audits are reviewed.
        backend: the other stages' work.
        access: who may come in, and how.
    """
    place = Here(store, workspace.resolve(), backend, access)
    sessions = Sessions(store, access)
    app = FastAPI(
        title="cxr-audit review",
        version=__version__,
        description="Decide what a chest x-ray classifier should not read. Research and QA use; no diagnosis.",
        openapi_url="/api/openapi.json",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        middleware=[
            Middleware(SecurityHeaders),
            # The API packs arrays itself, where that pays.
            Middleware(
                GZipMiddleware,
                minimum_size=1000,
                compresslevel=5,
                exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, "application/octet-stream"),
            ),
            Middleware(Gate, place=place, sessions=sessions),
        ],
    )
    app.state.here, app.state.sessions = place, sessions
    app.state.attempts, app.state.arrivals = Attempts(), Arrivals(store, place.workspace)
    add_handlers(app)
    app.mount("/static", _Assets(directory=STATIC), name="static")
    newest = [Depends(_admit_new)]
    app.include_router(routes.router)
    app.include_router(routes.pages)
    app.include_router(api_router, dependencies=newest)
    app.include_router(pages_router, dependencies=newest)
    return app


def _admit_new(request: Request) -> None:
    """Audits that were finished since are in the list, and behind links that point at them."""
    path = request.url.path
    if path == "/api/audits" or not path.startswith("/api/"):
        request.app.state.arrivals.look()


class _Assets(StaticFiles):
    """Scripts and styles: a browser asks each time whether they changed."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """As usual, with that wish."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response
