"""Which Prefect server a workspace is served by: a small file that `cxr-audit serve` keeps while it runs."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

_PATIENCE = 1.0
"""Seconds that a server on this machine has to take a connection."""


def server_of(workspace: Path) -> str | None:
    """Address of the API of the server that this machine runs for a workspace; None where none is at work."""
    try:
        known = json.loads(_path(workspace).read_text(encoding="utf-8"))
        host, api = str(known["host"]), str(known["api"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return api if host == socket.gethostname() and _listens(api) else None


@contextmanager
def remembered(workspace: Path, api: str) -> Iterator[None]:
    """Let every command that is given this workspace find the server at `api` while the block runs."""
    path = _path(workspace)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps({"host": socket.gethostname(), "api": api}), encoding="utf-8")
    partial.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _path(workspace: Path) -> Path:
    return workspace / ".prefect" / "server.json"


def _listens(api: str) -> bool:
    """Whether it is there: a server that was killed leaves its file behind."""
    address = urlsplit(api)
    with suppress(OSError), socket.create_connection((address.hostname or "", address.port or 80), _PATIENCE):
        return True
    return False
