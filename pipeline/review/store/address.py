"""Where the review's database is: a path or a URL, checked before anything is opened."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from pipeline.errors import InputError, did_you_mean
from pipeline.storage import storage_errors

_FORMS = "Give a path, sqlite:///path or postgresql://user:password@host:port/database."
_SSL_MODES = ("disable", "require", "verify-full")


def address(place: str | Path) -> tuple[URL, dict[str, Any]]:
    """URL, with its driver, and arguments for the driver of the database at `place`, see `open_store`.

    Raises:
        InputError: no such form, or an option that is not known.
        StorageError: the folder of a SQLite file cannot be made.
    """
    url = _parsed(place)
    backend = url.get_backend_name()
    if backend == "sqlite":
        return _file(url), {}
    if backend not in ("postgresql", "postgres") or url.drivername not in (
        "postgresql",
        "postgres",
        "postgresql+pg8000",
    ):
        raise InputError(f"The review cannot keep its database in {url.drivername!r}. {_FORMS}")
    if not url.database:
        raise InputError(f"{shown(url)} names no database. {_FORMS}")
    return url.set(drivername="postgresql+pg8000", query={}), _tls(url)


def shown(url: URL) -> str:
    """The URL as it may be printed and logged: without its password."""
    return url.render_as_string(hide_password=True)


def _parsed(place: str | Path) -> URL:
    if isinstance(place, Path) or "://" not in place:
        return URL.create("sqlite", database=str(place))
    try:
        return make_url(place)
    except (ArgumentError, ValueError):
        # Neither the URL nor the error that may quote it: both may hold a password.
        raise InputError(f"The database's URL cannot be read. {_FORMS}") from None


def _file(url: URL) -> URL:
    if url.host or url.query or not url.database or url.database == ":memory:" or url.drivername != "sqlite":
        raise InputError(f"{shown(url)} is not the path of a file, which SQLite needs here. {_FORMS}")
    path = Path(url.database).expanduser().absolute()
    if path.is_dir():
        raise InputError(f"{path} is a folder. Give the path of a file in it, such as {path / 'review.sqlite'}.")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return url.set(database=str(path))


def _tls(url: URL) -> dict[str, Any]:
    unknown = set(url.query) - {"sslmode"}
    if unknown:
        raise InputError(
            f"The database's URL has an unknown option {min(unknown)!r}. {did_you_mean(min(unknown), ['sslmode'])}"
        )
    mode = url.query.get("sslmode", "disable")
    if not isinstance(mode, str) or mode not in _SSL_MODES:
        raise InputError(f"The database's URL has sslmode={mode!r}. {did_you_mean(str(mode), _SSL_MODES)}")
    if mode == "disable":
        return {}
    context = ssl.create_default_context()
    if mode == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return {"ssl_context": context}
