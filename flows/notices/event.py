"""Prefect events, for automations."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flows.prefect_api import configured
from pipeline.errors import InputError

if TYPE_CHECKING:
    from prefect.events import Event

SECONDS = 15.0
"""How long a server may take to accept an event."""


def emit(name: str, run: str, payload: Mapping[str, Any]) -> None:
    """Emit the event `name` about the resource `cxr-audit.run.<run>`; returns when the Prefect server has it.

    For threads without an event loop.

    Raises:
        InputError: there is no Prefect server, or it does not answer.
    """
    from prefect.events import Event, Resource

    if not configured():
        raise InputError("Automations live in a Prefect server: start one and set PREFECT_API_URL to its address.")
    resource = Resource({"prefect.resource.id": f"cxr-audit.run.{run}", "prefect.resource.name": run})
    event = Event(event=name, resource=resource, payload=dict(payload))
    try:
        asyncio.run(_emit(event))
    except Exception as error:  # of several libraries below the events client, down to bare OSError
        raise InputError(
            f"The Prefect server at {os.environ['PREFECT_API_URL']} took no event ({type(error).__name__}): is it up?"
        ) from error


async def _emit(event: Event) -> None:
    from prefect.events import get_events_client

    async with (
        asyncio.timeout(SECONDS),
        get_events_client(reconnection_attempts=2, checkpoint_every=1) as client,  # waits until it arrived
    ):
        await client.emit(event)
