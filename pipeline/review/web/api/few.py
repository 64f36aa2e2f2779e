"""Slow work for few at a time: whoever is one too many is asked to come again, and the server goes on answering."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from fastapi import HTTPException


class Few:
    """Room for `most` requests at once; far fewer than the server has threads."""

    def __init__(self, most: int) -> None:
        self._room = BoundedSemaphore(most)

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Take part.

        Raises:
            HTTPException: 429, with Retry-After: there is no room.
        """
        if not self._room.acquire(blocking=False):
            raise HTTPException(429, "Many ask for this now. Try again in a second.", headers={"Retry-After": "1"})
        try:
            yield
        finally:
            self._room.release()
