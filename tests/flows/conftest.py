"""A tiny study that goes through every stage in seconds, and one Prefect server for all tests of a session."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.studies import audited_study

BIN = Path(sys.executable).parent

_EXPLAIN = {"images": 4, "options": {"igos++-fast": {"ig_steps": 3, "iterations": 2}}}
TINY = audited_study(
    "tiny",
    images=120,
    other=16,
    size=160,
    train={"input_size": 128, "epochs": 8},
    explain=_EXPLAIN,
    flag={"images": 24, "transplants": 4},
)


@pytest.fixture(scope="session")
def tiny_manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny study's manifest."""
    path = tmp_path_factory.mktemp("manifest") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def prefect_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment that points at a Prefect server of this session's own; stopped at the end."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as (environment, _):
        yield environment


@contextmanager
def prefect_server(home: Path, **settings: str) -> Iterator[tuple[dict[str, str], int]]:
    """A Prefect server with its files in `home`: the environment that points at it, and the process group it leads.

    Args:
        home: a folder.
        settings: more of the environment.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        **settings,
    }
    command = [BIN / "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, env=environment, start_new_session=True, **quiet)
    try:
        _wait(f"{environment['PREFECT_API_URL']}/health")
        yield environment, server.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


def _wait(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    pytest.fail("the Prefect server did not start within 120 s")
