"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

pytest_plugins = ["tests.toys"]

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the real x-rays; absent it skips, except in CI, where absence is a failure."""
    folder = Path(os.environ.get("CXR_AUDIT_TEST_DATA", DEFAULT_DATA))
    if not (folder / "cxr" / "images.csv").exists():
        reason = f"no real x-rays at {folder}; set CXR_AUDIT_TEST_DATA"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def golden_data(real_data: Path) -> Path:
    """Folder with numbers computed by the original authors' implementation."""
    return real_data.parent / "golden"


@pytest.fixture
def free_port() -> int:
    """A TCP port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
