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

from pipeline.review.backend import Backend
from pipeline.review.store import Store
from pipeline.review.web.access.config import AccessConfig
from pipeline.review.web.access.links import Links
from pipeline.review.web.app import create_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = Path("/usr/bin/chromium")
READER = "Dr. Reader"


@contextmanager
def served(store: Store, workspace: Path, backend: Backend) -> Iterator[str]:
    """The application on a free port of the loopback interface; yields the link that lets one browser in."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        links = Links(f"http://127.0.0.1:{port}", announce=lambda link: None)
        app = create_app(store, workspace, backend, AccessConfig.local(READER, links, port=port))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            until = time.monotonic() + 20
            while not server.started and thread.is_alive() and time.monotonic() < until:
                time.sleep(0.01)
            yield links.current
        finally:
            server.should_exit = True
            thread.join(20)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; where there is none the test skips, except in CI, where it fails."""
    if not CHROMIUM.exists():
        reason = f"no browser at {CHROMIUM}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
