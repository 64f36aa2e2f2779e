"""Cheap password hashes, and the application over an audit with three people in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pipeline.review.store import Store
from pipeline.review.store.register import register
from pipeline.review.values import Actor, Role
from pipeline.review.web.access import accounts
from pipeline.review.web.access.accounts import add_account
from tests.pipeline.review.entering import client_of, page_app
from tests.pipeline.review.study import Study

PEOPLE: dict[str, Role] = {"vera": "viewer", "rosa": "reviewer", "ada": "admin"}
PASSWORD = "correct horse battery"

SignIn = Callable[[str | None], TestClient]


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(accounts, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    accounts._nobody.cache_clear()
    yield
    accounts._nobody.cache_clear()


@pytest.fixture
def app(store: Store, review_workspace: Study) -> FastAPI:
    """With accounts."""
    register(store, review_workspace.run, review_workspace.dataset)
    with store.writing() as session:
        for name, role in PEOPLE.items():
            add_account(session, name, PASSWORD, role, by="test")
    return page_app(store, review_workspace.workspace)


@pytest.fixture
def as_(app: FastAPI) -> SignIn:
    """A browser of somebody, or of nobody."""

    def enter(name: str | None) -> TestClient:
        return client_of(app, None if name is None else Actor(name=name, role=PEOPLE[name]))

    return enter
