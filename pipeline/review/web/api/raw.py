"""Answers that are arrays, not JSON: little-endian numbers in the store's own type, and pictures.

On the loopback interface they go as they are. Elsewhere they are packed with gzip at level 1: an x-ray of 640 px and 8
bits takes 6 ms and shrinks to 48 %, a phantom of 256 px and 16 bits 3 ms and to 81 %. Level 6 takes three times as long
for 1 % less; differences of neighbours would give 38 % and 73 %, but every client would have to undo them.
"""

from __future__ import annotations

import gzip
import hashlib
from typing import Any

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

FOREVER = "private, max-age=31536000, immutable"
"""For what a content hash in its address or behind it names: it never changes."""
ASK_AGAIN = "private, no-cache"
NEVER = "no-store"

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def documented(words: str, media: str = "application/octet-stream") -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers with `media`, and with 304 to who has it."""
    headers = {"ETag": {"schema": {"type": "string"}}}
    if media == "application/octet-stream":
        headers |= {name: {"schema": {"type": "string"}} for name in ("X-Height", "X-Width", "X-Dtype")}
    return {
        200: {"description": words, "content": {media: _BINARY}, "headers": headers},
        304: {"description": "The client has it already"},
    }


def array_answer(request: Request, array: NDArray[Any], cache: str, tag: str | None = None) -> Response:
    """An array (h, w) as its bytes, row by row, little-endian; X-Height, X-Width and X-Dtype say how to read them.

    A square one has X-Size besides.

    Args:
        request: may name the version that the client has.
        array: any numbers.
        cache: value of Cache-Control.
        tag: names the content; hash of the bytes where None.
    """
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    content = little.tobytes()
    tag = tag or hashlib.sha256(content).hexdigest()[:32]
    height, width = array.shape
    headers = {"X-Height": str(height), "X-Width": str(width), "X-Dtype": array.dtype.name}
    headers |= {"X-Size": str(width)} if width == height else {}
    return unchanged(request, tag, cache) or _packed(request, content, headers | _caching(tag, cache))


def picture_answer(content: bytes, media: str, cache: str, tag: str) -> Response:
    """A picture that is packed already."""
    return Response(content, media_type=media, headers=_caching(tag, cache))


def unchanged(request: Request, tag: str, cache: str) -> Response | None:
    """The answer to a client that has this version already, None for others."""
    known = {each.strip().removeprefix("W/").strip('"') for each in request.headers.get("if-none-match", "").split(",")}
    if known.isdisjoint({tag, f"{tag}-gzip", "*"}):
        return None
    return Response(status_code=304, headers=_caching(tag, cache))


def _packed(request: Request, content: bytes, headers: dict[str, str]) -> Response:
    near = request.client is not None and request.client.host in _LOOPBACK
    if not near and "gzip" in request.headers.get("accept-encoding", ""):
        content = gzip.compress(content, compresslevel=1, mtime=0)
        # Other bytes, other strong tag.
        headers = headers | {"Content-Encoding": "gzip", "ETag": f'{headers["ETag"][:-1]}-gzip"'}
    return Response(content, media_type="application/octet-stream", headers=headers | {"Vary": "Accept-Encoding"})


def _caching(tag: str, cache: str) -> dict[str, str]:
    return {"ETag": f'"{tag}"', "Cache-Control": cache}
