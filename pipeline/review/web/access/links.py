"""Links that let one browser in, once: the local server prints them in its terminal, and nobody else can read that."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable


class Links:
    """The one link that is good now. When it is used up the next one is announced, for another browser.

    Args:
        base: address of the server, e.g. ``http://127.0.0.1:8765``.
        announce: called with every link that follows the first.
    """

    def __init__(self, base: str, announce: Callable[[str], None]) -> None:
        self._base = base
        self._announce = announce
        self._lock = threading.Lock()
        self._token = secrets.token_urlsafe(32)

    @property
    def current(self) -> str:
        """The link that is good now."""
        return f"{self._base}/?token={self._token}"

    def use(self, token: str) -> bool:
        """Whether `token` is that of the link that is good now; it is not good any more after that."""
        with self._lock:
            if not hmac.compare_digest(token.encode(), self._token.encode()):
                return False
            self._token = secrets.token_urlsafe(32)
        self._announce(self.current)
        return True
