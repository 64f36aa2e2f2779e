"""Fixtures for tests of the review: a made-up workspace, and its database on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.dataset import DatasetVersion
from pipeline.review.store import Store, open_store
from tests.pipeline.review.study import PostgresServer, Study, phantom_workspace, postgres_programs, postgres_server


@pytest.fixture(scope="session")
def _phantom(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return phantom_workspace(tmp_path_factory.mktemp("phantom") / "workspace")


@pytest.fixture
def review_workspace(_phantom: Study, tmp_path: Path) -> Study:
    """A workspace with a finished audit of 24 images (`phantom_workspace`), the test's own to change."""
    workspace = tmp_path / "workspace"
    shutil.copytree(_phantom.workspace, workspace)
    return Study(
        workspace, workspace / "runs" / _phantom.run.name, DatasetVersion(workspace / "datasets" / "tiny" / "v1")
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty database in a SQLite file."""
    store = open_store(tmp_path / "review.sqlite")
    yield store
    store.dispose()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this session; where it is not installed tests skip, except in CI, where they fail."""
    if postgres_programs() is None:
        reason = "no PostgreSQL server: apt-get install postgresql"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a new, empty database: once of SQLite, once of PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'any.sqlite'}"
    return str(request.getfixturevalue("postgres").create_database())


@pytest.fixture
def any_store(store_url: str) -> Iterator[Store]:
    """An empty database: once of SQLite, once of PostgreSQL."""
    store = open_store(store_url)
    yield store
    store.dispose()
