"""`review`: serve the review page, to one person on this machine or to people with accounts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import users
from flows.cli.options import WORKSPACE, Database, WorkspacePath
from flows.console import say, stderr
from flows.mirror import refresh
from flows.review.address import DEFAULT_HOST, DEFAULT_PORT
from flows.workspace import review_database
from pipeline.errors import InputError

if TYPE_CHECKING:
    from pipeline.review.web.server import Tls

Certificate = Annotated[
    Path | None,
    typer.Option("--tls-certificate", help="PEM file, with --tls-key. Asks for accounts.", exists=True, dir_okay=False),
]
Key = Annotated[
    Path | None, typer.Option("--tls-key", help="PEM file of the private key.", exists=True, dir_okay=False)
]
Proxies = Annotated[
    list[str] | None, typer.Option("--proxy", help="Address of that proxy on another machine; repeatable.")
]
Names = Annotated[
    list[str] | None, typer.Option("--allowed-host", help="Name that browsers know the server by; repeatable.")
]
Show = Annotated[
    bool | None, typer.Option("--open/--no-open", help="Open a browser; by default where there is a screen.")
]


def register(app: typer.Typer) -> None:
    """Add this file's commands to the application."""
    app.command()(review)
    app.add_typer(users.app, name="users")


def review(
    workspace: WorkspacePath = WORKSPACE,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = DEFAULT_PORT,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on. All but this machine's own need accounts and TLS.")
    ] = DEFAULT_HOST,
    reviewer: Annotated[
        str | None, typer.Option("--reviewer", help="Who decides, where there are no accounts; you by default.")
    ] = None,
    database: Database = None,
    show: Show = None,
    tls_certificate: Certificate = None,
    tls_key: Key = None,
    behind_tls: Annotated[
        bool, typer.Option("--behind-tls", help="A proxy before the server speaks TLS. Asks for accounts.")
    ] = False,
    proxy: Proxies = None,
    insecure_http: Annotated[
        bool, typer.Option("--insecure-http", help="Serve others without TLS: passwords can be read on the way.")
    ] = False,
    allowed_host: Names = None,
) -> None:
    """Serve the review page until Ctrl-C.

    On this machine, the default, a link lets one browser in, once; when it is used the next one is shown. With another
    --host, a certificate or a proxy, people sign in with accounts: see `cxr-audit users`.
    """
    from flows.review.serving import Serving, has_screen, serve_review
    from flows.settings import configure_prefect

    workspace = workspace.resolve()
    asked = Serving(
        workspace=workspace,
        database=database or review_database(workspace),
        host=host,
        port=port,
        reviewer=reviewer or users.operator(),
        tls=_tls(tls_certificate, tls_key),
        behind_tls=behind_tls,
        proxies=tuple(proxy or ()),
        insecure_http=insecure_http,
        names=frozenset(name.lower() for name in allowed_host or ()),
    )
    refresh(workspace)
    asked.check()
    configure_prefect(workspace)
    serve_review(
        asked,
        say=say,
        warn=lambda words: stderr.print(words, markup=False, highlight=False, soft_wrap=True),
        show=(asked.local and has_screen()) if show is None else show,
    )


def _tls(certificate: Path | None, key: Path | None) -> Tls | None:
    from pipeline.review.web.server import Tls

    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise InputError("TLS needs both: --tls-certificate and --tls-key.")
    return Tls(certificate, key)
