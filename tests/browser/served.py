"""The review page served from this process, and a browser that is let in."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvicorn
from fastapi import FastAPI

from pipeline.review.backend import Backend
from pipeline.review.store import Store
from pipeline.review.values import Role
from pipeline.review.web.access.accounts import add_account
from pipeline.review.web.access.config import AccessConfig
from pipeline.review.web.access.links import Links
from pipeline.review.web.app import create_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = Path("/usr/bin/chromium")
READER = "Dr. Reader"
PASSWORD = "seven plain words, and no name"


@contextmanager
def served(store: Store, workspace: Path, backend: Backend) -> Iterator[str]:
    """The application for one person; yields the link that lets one browser in."""
    with _listening() as (listening, port):
        links = Links(f"http://127.0.0.1:{port}", announce=lambda link: None)
        app = create_app(store, workspace, backend, AccessConfig.local(READER, links, port=port))
        with _serving(app, listening):
            yield links.current


@contextmanager
def served_to_accounts(store: Store, workspace: Path, backend: Backend, people: dict[str, Role]) -> Iterator[str]:
    """The application for people with accounts, who all have `PASSWORD`; yields its address."""
    with store.writing() as session:
        for name, role in people.items():
            add_account(session, name, PASSWORD, role, by="test")
    with _listening() as (listening, port):
        app = create_app(store, workspace, backend, AccessConfig.accounts(frozenset(), port=port, secure=False))
        with _serving(app, listening):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def _listening() -> Iterator[tuple[socket.socket, int]]:
    """A free port of the loopback interface."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        yield listening, listening.getsockname()[1]


@contextmanager
def _serving(app: FastAPI, listening: socket.socket) -> Iterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        until = time.monotonic() + 20
        while not server.started and thread.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join(20)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; where there is none the test skips, except in CI, where it fails."""
    if not CHROMIUM.exists():
        reason = f"no browser at {CHROMIUM}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=20_000)  # others may share the machine
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
