"""Telling Prefect's automations that a review is done."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from flows.review.deployed import configured
from pipeline.errors import InputError

if TYPE_CHECKING:
    from prefect.events import Event

REVIEW_COMPLETE = "cxr-audit.review.complete"
"""Event: the review of a run is done. Its resource is `cxr-audit.run.<run>`; payload: `run` (folder) and `by`."""


def announce(run: Path, by: str) -> None:
    """Emit `REVIEW_COMPLETE`; returns when the Prefect server has it.

    Raises:
        InputError: there is no Prefect server, or it does not answer.
    """
    from prefect.events import Event, Resource

    if not configured():
        raise InputError("Automations live in a Prefect server: start one and set PREFECT_API_URL to its address.")
    resource = Resource({"prefect.resource.id": f"cxr-audit.run.{run.name}", "prefect.resource.name": run.name})
    event = Event(event=REVIEW_COMPLETE, resource=resource, payload={"run": str(run), "by": by})
    try:
        asyncio.run(_emit(event))
    except Exception as error:  # of several libraries below the events client, down to bare OSError
        raise InputError(
            f"The Prefect server at {os.environ['PREFECT_API_URL']} took no event ({type(error).__name__}): is it up?"
        ) from error


async def _emit(event: Event) -> None:
    from prefect.events import get_events_client

    async with get_events_client(reconnection_attempts=2, checkpoint_every=1) as client:  # waits until it arrived
        await client.emit(event)
