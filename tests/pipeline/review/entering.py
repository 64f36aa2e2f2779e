"""For tests of the page: applications, and clients that are signed in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI
from fastapi.testclient import TestClient

from pipeline.review.backend import Backend, Job, PlanPreview
from pipeline.review.store import Store
from pipeline.review.store.tables import User
from pipeline.review.values import Actor
from pipeline.review.web.access.config import AccessConfig
from pipeline.review.web.access.sessions import now
from pipeline.review.web.app import create_app

ACCOUNTS = AccessConfig.accounts(frozenset({"testserver"}), port=8765, secure=False)


class IdleBackend:
    """A backend that never has anything to do."""

    def job(self, run: Path) -> Job:
        """None."""
        return Job(state="none")

    def plan(self, run: Path) -> PlanPreview:
        """Nothing to change."""
        return PlanPreview(possible=False, words=("Nothing was accepted.",))

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)


def page_app(store: Store, workspace: Path, access: AccessConfig = ACCOUNTS, backend: Backend | None = None) -> FastAPI:
    """The application over `store`."""
    return create_app(store, workspace, backend or cast(Backend, IdleBackend()), access)


def client_of(app: FastAPI, actor: Actor | None = None, *, base_url: str = "http://testserver") -> TestClient:
    """A browser of `actor`, whose account is made where there is none; of nobody without one."""
    client = TestClient(app, base_url=base_url, follow_redirects=False)
    if actor is not None:
        cookie = app.state.sessions.begin(_with_account(app, actor))
        client.cookies.set(app.state.here.access.cookie, cookie)
        client.headers["X-CSRF-Token"] = app.state.sessions.find(cookie).csrf
    return client


def _with_account(app: FastAPI, actor: Actor) -> Actor:
    with app.state.here.store.writing() as session:
        if session.get(User, actor.name) is None:
            session.add(User(name=actor.name, password="*", role=actor.role, created=now()))
    return actor
