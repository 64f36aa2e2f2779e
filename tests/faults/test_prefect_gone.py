"""Prefect's server or its database goes while a run is at work: the run says so, ends, and goes on when given again."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Command, Ended, content, half_written
from tests.faults.test_database import halted
from tests.faults.test_killed import MOMENTS
from tests.flows.conftest import prefect_server
from tests.pipeline.review.study import postgres_server

pytestmark = pytest.mark.slow

IMPATIENT = {"PREFECT_CLIENT_MAX_RETRIES": "1"}
"""As it is set, the client tries for a minute."""
GONE = (
    r"PrefectUnreachable: Prefect's server, .*, (does not answer|cannot work) any more .* give the same command again"
)


@pytest.fixture
def begun(tmp_path: Path, calm: Path) -> Path:
    """A workspace with data and classifiers, whose run is still to be made."""
    shutil.copytree(calm, tmp_path / "ws", ignore=shutil.ignore_patterns("runs"))
    return tmp_path / "ws"


@pytest.mark.postgres
@pytest.mark.timeout(600)
def test_a_server_and_the_database_of_another_one_go(begun: Path, calm: Path, tmp_path: Path, command: Command) -> None:
    """The server is killed; the database is away for a moment, which the run outlives, and then for good."""
    with prefect_server(tmp_path / "first") as (environment, group):
        process = command.start(begun, **environment, **IMPATIENT)
        command.wait_for(MOMENTS["detect"], begun, process)
        os.killpg(group, signal.SIGKILL)
        _says_so(command.end(process))
    with postgres_server() as database:
        url = database.create_database().replace("postgresql://", "postgresql+asyncpg://")
        with prefect_server(tmp_path / "second", PREFECT_SERVER_DATABASE_CONNECTION_URL=url) as (environment, _):
            process = command.start(begun, **environment, **IMPATIENT)
            command.wait_for(MOMENTS["explain"], begun, process)
            with halted(database):
                time.sleep(3)
            command.wait_for(MOMENTS["flag"], begun, process)
            with halted(database):
                _says_so(command.end(process))
    command.complete(begun)  # with the session's own server
    assert content(begun) == content(calm)
    assert half_written(begun) == []


@pytest.mark.timeout(600)
def test_an_embedded_server_that_is_killed(begun: Path, tmp_path: Path, command: Command) -> None:
    del command.environment["PREFECT_API_URL"]
    process = command.start(begun, PREFECT_HOME=str(tmp_path / "prefect"), **IMPATIENT)
    command.wait_for(MOMENTS["detect"], begun, process)
    server = next(each for each in command.processes() if "prefect.server.api.server:create_app" in each.cmdline())
    server.kill()
    _says_so(command.end(process))


def _says_so(ended: Ended) -> None:
    assert ended.code == 1
    assert re.search(GONE, ended.said), ended.err[-3000:]
