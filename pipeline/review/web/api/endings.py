"""When the last open thing of an audit is decided, others are told: automations wait for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from sqlalchemy.orm import Session

from pipeline.review.backend import Backend
from pipeline.review.store.batches import lock
from pipeline.review.store.overview import anything_left
from pipeline.review.values import Actor
from pipeline.review.web.access.dependencies import Here

logger = logging.getLogger(__name__)


@contextmanager
def reviewing(place: Here, run: str, actor: Actor) -> Iterator[Session]:
    """A transaction in which `actor` reviews. If nothing is left open after it, and something was before, it is told.

    That happens in the background, once what was decided is kept: whoever decides neither waits for it nor sees it
    fail.

    Raises:
        StorageError: see `Store.writing`.
    """
    with place.store.writing() as session:
        lock(session, run)  # of two who decide the last two things at once, one is the last
        before = anything_left(session, run)
        yield session
        ended = before and not anything_left(session, run)
    if ended:
        folder = place.workspace / "runs" / run
        Thread(target=_tell, args=(place.backend, folder, actor.name), name="reviewed", daemon=True).start()


def _tell(backend: Backend, run: Path, by: str) -> None:
    try:
        backend.reviewed(run, by)
    except Exception as error:  # of other systems
        logger.warning("The review of %s is complete; nobody could be told: %s", run.name, error)
