"""Serving the page: one process, one socket, a clean end."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from pipeline.errors import InputError

GRACE = 5
"""Seconds that requests have to end when the server is told to stop."""


@dataclass(frozen=True)
class Tls:
    """A server's own certificate."""

    certificate: Path
    key: Path

    def check(self) -> None:
        """Refuse files that are no pair.

        Raises:
            InputError: what is wrong with them.
        """
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key)
        except (ssl.SSLError, OSError) as error:
            raise InputError(
                f"{self.certificate} and {self.key} cannot be used for TLS ({error}). Give a certificate (PEM, with "
                "its chain) and the private key that belongs to it."
            ) from error


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0: a free one.

    Raises:
        InputError: the port is taken (and which one is free), not allowed, or the host is not of this machine.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(2048)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise InputError(_why_not(host, port, error)) from error
    return listening


def serve(app: FastAPI, listening: socket.socket, *, tls: Tls | None, proxies: Sequence[str], log: bool) -> None:
    """Answer requests until SIGINT or SIGTERM, then end those that are at work and return.

    Args:
        app: made by `create_app`.
        listening: from `listen`; closed at the end.
        tls: None: plain HTTP, or a proxy does it.
        proxies: addresses whose X-Forwarded-For and X-Forwarded-Proto are believed.
        log: one line a request on stderr, without what follows a question mark.
    """
    config = uvicorn.Config(
        app,
        ssl_certfile=tls.certificate if tls else None,
        ssl_keyfile=tls.key if tls else None,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        server_header=False,
        access_log=log,
        log_config=_LOGGING,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=GRACE,
    )
    server = uvicorn.Server(config)

    def stop(_: int, __: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn handles signals itself, and passes them on to these when it has ended: an ordinary end, not a failure.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)
    server.run(sockets=[listening])


class NoQuery(logging.Filter):
    """Takes the query off an access line's address: it may hold the token of a link."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always keep the line."""
        if isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, path, version, status = record.args
            record.args = (client, method, str(path).partition("?")[0], version, status)
        return True


_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"no-query": {"()": NoQuery}},
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "plain"},
        "access": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["no-query"]},
    },
    "loggers": {
        "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
        "pipeline.review": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} of {host} is taken, perhaps by another cxr-audit review. Free now: --port {_free(host)}."
    if error.errno == errno.EACCES:
        return f"Port {port} needs rights that you do not have. Give one above 1023, e.g. --port 8765."
    reason = error.strerror or os.strerror(error.errno or 0)
    return f"Cannot listen on {host} ({reason}). Give an address of this machine: --host 127.0.0.1, or 0.0.0.0 for all."


def _free(host: str) -> int:
    with listen(host, 0) as free:
        number: int = free.getsockname()[1]
    return number
