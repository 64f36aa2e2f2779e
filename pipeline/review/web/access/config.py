"""How a server lets people in: one person by a link on this machine, or accounts."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from pipeline.review.web.access.links import Links

_HOST = re.compile(r"(\[(?P<number>[0-9a-f:.]+)\]|(?P<name>[\w.-]+))(:\d{1,5})?", re.ASCII)
# Nothing else: frameworks build addresses of the Host header, and a slash in it would be a path.
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_address(host: str) -> bool:
    """Whether `host` is a number, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class AccessConfig:
    """Who may come in, and under which names a browser may know the server.

    A page from elsewhere whose name is made to point here (DNS rebinding) sends that name as Host: it is turned away.
    """

    names: frozenset[str]
    """Accepted in Host, lower case, without port. Numbers cannot be rebound: `any_address` accepts all of them."""
    any_address: bool
    port: int
    secure: bool
    """Browsers speak TLS with the server, or with the proxy before it."""
    reviewer: str | None
    """Local mode: the one person there is, an admin. None: accounts."""
    links: Links | None
    """Local mode: what lets a browser in."""

    @classmethod
    def local(cls, reviewer: str, links: Links, *, port: int, names: frozenset[str] = frozenset()) -> AccessConfig:
        """One person on this machine, who opens a link that the server printed."""
        return cls(LOOPBACK_NAMES | names, False, port, secure=False, reviewer=reviewer, links=links)

    @classmethod
    def accounts(cls, names: frozenset[str], *, port: int, secure: bool, any_address: bool = False) -> AccessConfig:
        """People with names and passwords."""
        return cls(LOOPBACK_NAMES | names, any_address, port, secure, reviewer=None, links=None)

    @property
    def cookie(self) -> str:
        """Name of the session's cookie. Browsers do not tell ports apart: two servers of one machine need two names.

        They take ``__Host-`` only over TLS, for all paths of exactly this host.
        """
        return f"{'__Host-' if self.secure else ''}cxr-audit-{self.port}"

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name = host_name(host)
        return name in self.names or (self.any_address and is_address(name))


def host_name(host: str) -> str:
    """The name in a Host header, lower case, without port and brackets; "" where it is no host and port at all."""
    found = _HOST.fullmatch(host.strip().lower())
    return "" if found is None else found["name"] or found["number"]
