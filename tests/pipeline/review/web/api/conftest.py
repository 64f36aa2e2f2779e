"""The whole application over a made-up audit, and four people who are signed in to it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select

from pipeline.review.store import Store, open_store
from pipeline.review.store.register import register
from pipeline.review.store.tables import LogEntry, User
from pipeline.review.values import Actor, Role
from pipeline.review.web.access.config import AccessConfig
from pipeline.review.web.access.sessions import Sessions
from pipeline.review.web.app import create_app
from tests.pipeline.review.study import IMAGES, RUN, Study, image_id
from tests.pipeline.review.web.api.fakes import FakeBackend

AUDIT = f"/api/audits/{RUN}"
PEOPLE: dict[str, Role] = {"vera": "viewer", "rosa": "reviewer", "rudi": "reviewer", "ada": "admin"}


class Person(TestClient):
    """A browser that is signed in, with what tests ask for often."""

    keys = count()

    def image(self, image: str) -> dict[str, Any]:
        answer = self.get(f"{AUDIT}/images/{image}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def version(self, image: str) -> int:
        return int(self.image(image)["version"])

    def regions(self, image: str, kind: str | None = None) -> list[str]:
        return [each["region_id"] for each in self.image(image)["regions"] if kind in (None, each["kind"])]

    def region(self, image: str, region: str) -> dict[str, Any]:
        [found] = [each for each in self.image(image)["regions"] if each["region_id"] == region]
        return dict(found)

    def verdict(self, image: str, region: str) -> str | None:
        return self.region(image, region)["verdict"]

    def decide(self, target: dict[str, Any], verdict: str | None = "keep", **more: Any) -> dict[str, Any]:
        request = {"key": f"test-key-{next(self.keys)}", "target": target, "verdict": verdict, **more}
        answer = self.post(f"{AUDIT}/decisions", json=request)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@pytest.fixture
def backend(review_workspace: Study) -> FakeBackend:
    return FakeBackend(review_workspace.dataset)


@pytest.fixture
def access() -> AccessConfig:
    return AccessConfig.accounts(frozenset({"testserver"}), port=80, secure=False)


@pytest.fixture(scope="session")
def _registered(_phantom: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that knows the audit and four people. It is made once: a copy costs a tenth."""
    path = tmp_path_factory.mktemp("registered") / "review.sqlite"
    store = open_store(path)
    register(store, _phantom.run, _phantom.dataset)
    with store.writing() as session:
        for name, role in PEOPLE.items():
            session.add(User(name=name, password="none", role=role, created=datetime.now(UTC)))
    store.dispose()
    return path


@pytest.fixture
def store(_registered: Path, tmp_path: Path) -> Iterator[Store]:
    """The test's own copy of it."""
    shutil.copyfile(_registered, tmp_path / "review.sqlite")
    store = open_store(tmp_path / "review.sqlite", migrate=False)
    yield store
    store.dispose()


@pytest.fixture
def app(review_workspace: Study, store: Store, backend: FakeBackend, access: AccessConfig) -> FastAPI:
    return create_app(store, review_workspace.workspace, backend, access)


@pytest.fixture
def signed_in(app: FastAPI, store: Store, access: AccessConfig) -> Callable[[str], Person]:
    """A browser that is signed in as this person and comes from this address."""

    def sign_in(name: str, address: str = "127.0.0.1") -> Person:
        sessions = Sessions(store, access)
        cookie = sessions.begin(Actor(name=name, role=PEOPLE[name]))
        found = sessions.find(cookie)
        assert found is not None
        headers = {"X-CSRF-Token": found.csrf}
        return Person(app, cookies={access.cookie: cookie}, headers=headers, client=(address, 50000))

    return sign_in


@pytest.fixture
def vera(signed_in: Callable[[str], Person]) -> Person:
    """A viewer."""
    return signed_in("vera")


@pytest.fixture
def rosa(signed_in: Callable[[str], Person]) -> Person:
    """A reviewer."""
    return signed_in("rosa")


@pytest.fixture
def rudi(signed_in: Callable[[str], Person]) -> Person:
    """Another reviewer."""
    return signed_in("rudi")


@pytest.fixture
def ada(signed_in: Callable[[str], Person]) -> Person:
    """An admin."""
    return signed_in("ada")


@pytest.fixture
def anybody(app: FastAPI) -> TestClient:
    """A browser that is not signed in."""
    return TestClient(app)


@pytest.fixture
def images() -> list[str]:
    """Ids of the images, in the order of their table."""
    return [image_id(RUN, row) for row in range(IMAGES)]


@pytest.fixture
def entries(store: Store) -> Callable[[], list[LogEntry]]:
    """The log."""

    def read() -> list[LogEntry]:
        with store.reading() as session:
            return list(session.scalars(select(LogEntry).order_by(LogEntry.id)))

    return read
