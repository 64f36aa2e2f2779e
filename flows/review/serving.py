"""Serving the review page: to one person by a link, or to people with accounts; and what is refused before that."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from html import escape
from pathlib import Path
from socket import getfqdn, gethostname

from pydantic import TypeAdapter, ValidationError

from pipeline.errors import CxrAuditError, InputError
from pipeline.review.store import Store, open_store
from pipeline.review.values import Name
from pipeline.review.web.access.accounts import anybody
from pipeline.review.web.access.config import LOOPBACK_NAMES, AccessConfig, is_loopback
from pipeline.review.web.access.links import Links
from pipeline.review.web.arrivals import Arrivals
from pipeline.review.web.server import Tls, listen, serve

Tell = Callable[[str], None]

_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to


@dataclass(frozen=True)
class Serving:
    """What the command was told; see its options."""

    workspace: Path
    database: str
    host: str
    port: int
    reviewer: str
    tls: Tls | None
    behind_tls: bool
    proxies: tuple[str, ...]
    insecure_http: bool
    names: frozenset[str]

    @property
    def local(self) -> bool:
        """Only this machine can reach it, and no proxy or certificate says that others shall."""
        return is_loopback(self.host) and not (self.tls or self.behind_tls)

    @property
    def secure(self) -> bool:
        """Browsers speak TLS."""
        return bool(self.tls or self.behind_tls)

    def check(self) -> None:
        """Refuse what cannot be served, or not safely, before anything is opened.

        Raises:
            InputError: no TLS where others can listen, files that are no certificate and key, a name that is none, or a
                workspace without audits.
        """
        if not (self.local or self.secure or self.insecure_http):
            raise InputError(
                f"Whoever can listen on the network of {self.host} could read passwords and x-rays: there is no TLS. "
                "Give --tls-certificate and --tls-key, or --behind-tls with a proxy that has them; --insecure-http if "
                "the network is yours alone."
            )
        if self.tls:
            self.tls.check()
        if self.local and next((self.workspace / "runs").glob("*/findings.json"), None) is None:
            raise InputError(
                f"{self.workspace} has no finished audit to review. Make one, e.g. `cxr-audit audit phantom --preset "
                "quick`, or name another workspace with --workspace."
            )
        try:
            TypeAdapter(Name).validate_python(self.reviewer)
        except ValidationError:
            raise InputError(
                f"{self.reviewer!r} cannot be a reviewer's name. Give one with --reviewer: 1 to 64 letters, digits, "
                "spaces and . @ + - _"
            ) from None


def serve_review(asked: Serving, *, say: Tell, warn: Tell, show: bool) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        asked: how.
        say: told the links and addresses that open the page.
        warn: told what happens meanwhile.
        show: open a browser.

    Raises:
        InputError: see `Serving.check`; the port is taken; there is no account, or no audit that can be reviewed.
    """
    asked.check()
    with ExitStack() as stack:
        listening = stack.enter_context(closing(listen(asked.host, asked.port)))
        store = open_store(asked.database)
        stack.callback(store.dispose)
        if not asked.local:
            _require_account(store)
        warn(f"Preparing the audits of {asked.workspace} …")
        port: int = listening.getsockname()[1]
        access = _access(asked, port, say)
        from flows.review.backend import make_backend  # torch and Prefect: seconds
        from pipeline.review.web.app import create_app

        app = create_app(store, asked.workspace, make_backend(asked.workspace, asked.database), access)
        _admit(app.state.arrivals, warn, required=asked.local)
        address = access.links.current if access.links else _address(asked, port)
        say(f"{_WELCOME[asked.local]}\n  {address}")
        warn("Ctrl-C ends the server. Every decision that was answered is kept.")
        if show:
            stack.callback(_open_browser(address, asked.workspace))
        serve(app, listening, tls=asked.tls, proxies=_proxies(asked), log=not asked.local)
    warn("Ended.")


_WELCOME = {
    True: "The review page. This link lets one browser in, once:",
    False: "The review page, for everybody with an account:",
}


def _access(asked: Serving, port: int, say: Tell) -> AccessConfig:
    if asked.local:
        host = f"[{asked.host}]" if ":" in asked.host else asked.host
        links = Links(f"http://{host}:{port}", lambda link: say(f"The link was used. For another browser:\n  {link}"))
        return AccessConfig.local(asked.reviewer, links, port=port, names=asked.names | {asked.host.lower()})
    everywhere = asked.host in _EVERY_ADDRESS
    own = {gethostname().lower(), getfqdn().lower()} if everywhere else {asked.host.lower()}
    return AccessConfig.accounts(asked.names | own, port=port, secure=asked.secure, any_address=everywhere)


def _address(asked: Serving, port: int) -> str:
    name = min(asked.names, default=gethostname() if asked.host in _EVERY_ADDRESS else asked.host)
    shown = f"[{name}]" if ":" in name else name
    return f"{'https' if asked.secure else 'http'}://{shown}{'' if asked.behind_tls else f':{port}'}/"


def _proxies(asked: Serving) -> tuple[str, ...]:
    """Whose forwarded addresses are believed: programs of this machine, and the proxies that were named."""
    numbers = tuple(sorted(LOOPBACK_NAMES - {"localhost"}))
    return (*numbers, *asked.proxies) if asked.behind_tls else ()


def _require_account(store: Store) -> None:
    with store.reading() as session:
        if not anybody(session):
            raise InputError(
                f"Nobody could sign in: {store.where} has no account that is enabled. Make one first, with the same "
                "--workspace or --database: `cxr-audit users add NAME --role admin`."
            )


def _admit(arrivals: Arrivals, warn: Tell, *, required: bool) -> None:
    """Register all audits; one that is broken keeps no other from being reviewed."""
    admitted = 0
    for run in arrivals.waiting():
        try:
            arrivals.admit(run)
            admitted += 1
        except CxrAuditError as error:
            warn(f"Audit {run.name} cannot be reviewed: {error}")
    if required and not admitted:
        raise InputError("No audit can be reviewed; the reasons are above. Audit again.")


def _open_browser(address: str, workspace: Path) -> Callable[[], None]:
    """Open `address` without showing it to other users of the machine, who see command lines; returns the clean-up."""
    page = workspace / "review-link.html"
    page.unlink(missing_ok=True)
    with open(os.open(page, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f'<!DOCTYPE html><meta http-equiv="refresh" content="0;url={escape(address)}"><title>Review</title>')
    threading.Thread(target=webbrowser.open, args=(page.as_uri(),), daemon=True).start()
    return lambda: page.unlink(missing_ok=True)


def has_screen() -> bool:
    """Whether somebody sits before this machine who could see a browser."""
    desktop = sys.platform in ("darwin", "win32") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
    return desktop and sys.stdout.isatty()
