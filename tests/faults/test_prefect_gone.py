"""Prefect's server is killed while a run is at work: the run says so and ends, and the same command goes on."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from tests.faults.conftest import Command, content, half_written
from tests.faults.test_killed import MOMENTS
from tests.flows.conftest import prefect_server

pytestmark = pytest.mark.slow

IMPATIENT = {"PREFECT_CLIENT_MAX_RETRIES": "1"}
"""As it is set, the client tries for a minute."""
GONE = r"PrefectUnreachable: Prefect's server, .*, does not answer any more .* give the same command again"


@pytest.fixture
def begun(tmp_path: Path, calm: Path) -> Path:
    """A workspace with data and classifiers, whose run is still to be made."""
    shutil.copytree(calm, tmp_path / "ws", ignore=shutil.ignore_patterns("runs"))
    return tmp_path / "ws"


@pytest.mark.timeout(600)
def test_a_server_that_is_killed_and_started_again(begun: Path, calm: Path, tmp_path: Path, command: Command) -> None:
    with prefect_server(tmp_path / "prefect") as (environment, group):
        process = command.start(begun, **environment, **IMPATIENT)
        command.wait_for(MOMENTS["detect"], begun, process)
        os.killpg(group, signal.SIGKILL)
        ended = command.end(process)
    assert ended.code == 1
    assert re.search(GONE, ended.said), ended.err[-3000:]
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
    ended = command.end(process)
    assert ended.code == 1
    assert re.search(GONE, ended.said), ended.err[-3000:]
