"""One notice to one webhook: a few attempts, a bounded time, and a reason when it was not delivered."""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

import httpx

from flows.notices.config import Webhook
from flows.notices.formats import body_of, signature_headers
from flows.notices.notice import Notice
from pipeline.errors import CxrAuditError

PAUSES = (1.0, 2.0, 4.0)
"""Seconds between attempts."""
_AGAIN = frozenset({408, 425, 429, *range(500, 600)})
_MOST_REDIRECTS = 3


class NotDelivered(CxrAuditError):
    """A webhook was not told; the message holds neither address nor secret."""


def deliver(notice: Notice, webhook: Webhook, deadline: float) -> int:
    """Send, again where that may help; returns the attempts it took.

    Args:
        notice: what is told.
        webhook: who is told.
        deadline: `time.monotonic()` after which no attempt begins.

    Raises:
        NotDelivered: refused, no answer in time, or an answer that leads to another machine.
        InputError: an environment variable that the configuration names is not set.
    """
    url, body = webhook.address(), body_of(notice, webhook.format)
    secret, own = webhook.secret(), webhook.headers()
    for attempt in range(1, len(PAUSES) + 2):
        headers = {"Content-Type": "application/json", "X-Cxr-Audit-Notice": notice.content} | own
        wait, words = _attempt(url, body, headers | signature_headers(body, secret), webhook.timeout)
        if words is None:
            return attempt
        pause = max(wait or 0.0, PAUSES[attempt - 1]) if attempt <= len(PAUSES) else 0.0
        if wait is None or attempt > len(PAUSES) or time.monotonic() + pause > deadline:
            raise NotDelivered(f"{words}, attempt {attempt}")
        time.sleep(pause)
    raise NotDelivered("no attempt was made")


def _attempt(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> tuple[float | None, str | None]:
    """(seconds to wait before another attempt or None if none may help, what went wrong or None)."""
    try:
        status, wait = _post(url, body, headers, timeout)
    except httpx.HTTPError as error:
        return 0.0, type(error).__name__
    except NotDelivered as error:
        return None, str(error)
    if 200 <= status < 300:
        return None, None
    return (wait if status in _AGAIN else None), f"it answered {status}"


def _post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> tuple[int, float]:
    """Status of the answer, whose body is not read, and the seconds it asks to wait; redirects stay on the machine."""
    with httpx.Client(timeout=timeout, follow_redirects=False) as client:
        for _ in range(_MOST_REDIRECTS + 1):
            with client.stream("POST", url, content=body, headers=dict(headers)) as answer:
                if answer.status_code not in (307, 308):  # others would turn the message into a question
                    return answer.status_code, _retry_after(answer)
                target = urljoin(url, answer.headers.get("Location", ""))
            if urlsplit(target)[:2] != urlsplit(url)[:2]:
                raise NotDelivered("it redirects to another machine; give the address that it leads to")
            url = target
    raise NotDelivered("it redirects in a circle")


def _retry_after(answer: httpx.Response) -> float:
    """`Retry-After` in seconds, 0 where it is absent or a date."""
    value = answer.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else 0.0
