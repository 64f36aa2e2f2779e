"""Questions to the API of the Prefect server that this process is told of."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.errors import InputError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

T = TypeVar("T")
LIMIT = 200
"""Rows that the API hands out at once."""


def configured() -> bool:
    """Whether this process talks to a Prefect server."""
    return bool(os.environ.get("PREFECT_API_URL"))


def connect(workspace: Path) -> None:
    """Let this process talk to the server of PREFECT_API_URL, or to the one that serves the workspace here.

    Raises:
        InputError: there is none.
        StorageError: the workspace cannot be written.
    """
    from flows.settings import configure_prefect

    configure_prefect(workspace)
    if not configured():
        raise InputError(
            f"There is no Prefect server: `cxr-audit serve --workspace {workspace}` starts one on this machine. Set "
            "PREFECT_API_URL to use another."
        )


def asked(question: Callable[[SyncPrefectClient], T]) -> T:
    """Put a question to the API.

    Raises:
        InputError: none is configured, it does not answer, or it refuses.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException

    if not configured():
        raise InputError("This takes a Prefect server: set PREFECT_API_URL to its address, or start `cxr-audit serve`.")
    try:
        with get_client(sync_client=True) as client:
            return question(client)
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        raise InputError(
            f"The Prefect API at {os.environ['PREFECT_API_URL'].split('@')[-1]} does not answer as it should "
            f"({type(error).__name__}). Start it (`cxr-audit serve`), or unset PREFECT_API_URL to work without it."
        ) from error
