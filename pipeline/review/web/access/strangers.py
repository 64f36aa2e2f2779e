"""Requests that no page of ours sent: from other sites, under other names, without TLS, too large."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from starlette.types import Message, Receive

from pipeline.review.web.access.config import AccessConfig

LARGEST_BODY = 1_000_000
"""Bytes."""
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def check_sender(request: Request, access: AccessConfig) -> None:
    """Refuse what does not come from our own pages, the address bar or a program.

    Raises:
        HTTPException: 421 for a Host that is not ours, 403 for another site, 400 without the TLS there should be.
    """
    host = request.headers.get("host", "")
    if not access.knows(host):
        raise HTTPException(
            421, "This server is not known under the name in the address. Whoever runs it can add it: --allowed-host."
        )
    if access.secure and request.url.scheme != "https":
        raise HTTPException(
            400, "This server is for https only. A proxy before it must send X-Forwarded-Proto: https (and be trusted)."
        )
    origin = request.headers.get("origin")
    if request.method not in SAFE_METHODS and origin is not None and not _same(origin, request.url.scheme, host):
        raise HTTPException(403, "Another site sent this request; it was not done.")
    if not (is_own(request) or _is_navigation(request)):
        raise HTTPException(403, "Another site sent this request; it was not done.")


def is_own(request: Request) -> bool:
    """Whether a page of ours, the address bar or a program sent it, as far as the browser says."""
    return request.headers.get("sec-fetch-site", "none") in ("none", "same-origin")


def limited(request: Request, receive: Receive) -> Receive:
    """`receive`, refusing bodies of more than `LARGEST_BODY` bytes.

    Raises:
        HTTPException: 413, at once where the request says its size.
    """
    said = request.headers.get("content-length", "0")
    if said.isdecimal() and int(said) > LARGEST_BODY:
        raise _too_large()
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > LARGEST_BODY:
            raise _too_large()
        return message

    return counted


def _too_large() -> HTTPException:
    return HTTPException(413, f"A request may have {LARGEST_BODY:,} bytes. Select fewer at a time.")


def _same(origin: str, scheme: str, host: str) -> bool:
    parts = urlsplit(origin)
    return (parts.scheme, parts.netloc.lower()) == (scheme, host.lower())


def _is_navigation(request: Request) -> bool:
    """Somebody followed a link elsewhere and sees our page: not a picture, script or form of another site."""
    told = (request.method, request.headers.get("sec-fetch-mode"), request.headers.get("sec-fetch-dest"))
    return told == ("GET", "navigate", "document")
