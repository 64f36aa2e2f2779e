"""Downloads over https: resumed after an interruption, and put in place only when their sha256 is right."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from pipeline.artifacts import sha256_file
from pipeline.errors import FetchError, IntegrityError
from pipeline.ingest.source_schema import LOOPBACK, FilesOrigin, PinnedFile, download_url

ATTEMPTS = 4
"""Failures in a row, without a byte of progress, before giving up."""
TIMEOUT = 30.0
"""Seconds without an answer that count as a failure."""
_BLOCK = 1 << 20
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_NOTHING_LEFT = 416


def fetch_files(origin: FilesOrigin, folder: Path, report: Callable[[int, int], None]) -> None:
    """Bring `folder` to hold every file of `origin`; files that are there and right are not asked for again.

    Args:
        origin: addresses, hashes and places.
        folder: where the files go.
        report: called with (files done, files in all).

    Raises:
        FetchError: the network or the server failed.
        IntegrityError: a download has another sha256 than the manifest pins; it is removed.
    """
    report(0, len(origin.files))
    for done, pinned in enumerate(origin.files, start=1):
        target = folder / pinned.path
        if not (target.is_file() and sha256_file(target) == pinned.sha256):
            target.parent.mkdir(parents=True, exist_ok=True)
            _download(pinned, target)
        report(done, len(origin.files))


def _download(pinned: PinnedFile, target: Path) -> None:
    partial = target.with_name(f".{target.name}.partial")
    _fill(pinned.url, partial)
    found = sha256_file(partial)
    if found != pinned.sha256:
        size = partial.stat().st_size
        partial.unlink()
        raise IntegrityError(
            f"{pinned.url} sent {size} bytes with sha256 {found}, but the manifest pins {pinned.sha256}. "
            "The download was removed. Try again; if it stays so, the publisher changed the file."
        )
    partial.replace(target)


def _fill(url: str, partial: Path) -> None:
    failures = 0
    while True:
        before = _size(partial)
        try:
            return _continue_download(url, partial)
        except (URLError, HTTPException, ConnectionError, TimeoutError) as error:
            failures = failures + 1 if _size(partial) <= before else 1
            if failures >= ATTEMPTS or (isinstance(error, HTTPError) and error.code not in _TRANSIENT):
                raise FetchError(
                    f"{url} could not be downloaded: {error}. {_size(partial)} bytes are kept; run again to go on."
                ) from error
            _wait(failures)


def _wait(failures: int) -> None:
    time.sleep(2.0 ** (failures - 2))


def _continue_download(url: str, partial: Path) -> None:
    start = _size(partial)
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310  # checked by the schema
    try:
        with _opener(url).open(request, timeout=TIMEOUT) as response:
            continues = response.status == 206 and response.headers.get("Content-Range", "").startswith(
                f"bytes {start}-"
            )
            with partial.open("ab" if continues else "wb") as stream:
                _copy(response, stream)
                os.fsync(stream.fileno())
    except HTTPError as error:
        if error.code != _NOTHING_LEFT:  # 416 answers a Range from the end on: all bytes are here, the hash decides
            raise


def _copy(response: Any, stream: IO[bytes]) -> None:
    expected, arrived = response.headers.get("Content-Length"), 0
    while block := response.read(_BLOCK):
        stream.write(block)
        arrived += len(block)
    if expected is not None and arrived < int(expected):  # a sized read ends early without an exception
        raise ConnectionError(f"the connection ended after {arrived} of {expected} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _opener(url: str) -> OpenerDirector:
    proxies = ProxyHandler({}) if urlsplit(url).hostname in LOOPBACK else ProxyHandler()
    return build_opener(proxies, _CheckedRedirects)


class _CheckedRedirects(HTTPRedirectHandler):
    """Follows redirects only to addresses that a manifest may name itself."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        try:
            download_url(newurl)
        except ValueError as error:
            raise FetchError(f"{req.full_url} redirects to an address that is not allowed: {error}.") from error
        if urlsplit(newurl).hostname in LOOPBACK and urlsplit(req.full_url).hostname not in LOOPBACK:
            raise FetchError(
                f"{req.full_url} redirects to an address that is not allowed: it is on this machine, whose services "
                "trust who asks from here."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)
