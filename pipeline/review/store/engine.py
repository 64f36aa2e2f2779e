"""The database of the review: SQLite in a file, or PostgreSQL by URL.

SQLite runs with a write-ahead log, so that readers and the one writer do not wait for each other, and flushes every
commit to disk: a decision that was acknowledged survives a killed server and a power cut. PostgreSQL does so by itself.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from pipeline.errors import InputError, StorageError
from pipeline.review.store.address import address, shown
from pipeline.review.store.catalogue import Catalogues
from pipeline.review.store.schema import BEGIN, bring_to_head, require_head

BUSY_SECONDS = 30
"""How long a writer waits for writers of other processes."""
SILENCE_SECONDS = 120
"""After how long a PostgreSQL server that does not answer counts as gone; no statement of ours takes as long."""
_SNAPSHOT = "review_snapshot"
"""Execution option of transactions that only read."""
CACHE_KIB = 65_536
"""Pages that a connection to SQLite may keep: an audit of 100,000 images is written several times faster."""


class Store:
    """The review's database. Safe to share between threads; sessions are not."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._reader = engine.execution_options(**{_SNAPSHOT: True})
        self._writer = engine.execution_options(**{BEGIN: "BEGIN IMMEDIATE"})
        self._catalogues = Catalogues()
        # Threads of one process queue here: SQLite itself lets waiting writers poll, and some of them starve.
        self._turn = threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @property
    def where(self) -> str:
        """The database's URL, without its password."""
        return shown(self.engine.url)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the database; what it changes is not kept."""
        info = {"catalogues": self._catalogues}
        with self._storage_errors(), Session(self._reader, autoflush=False, info=info) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session whose changes are kept together when the block ends well, and not at all when it does not.

        Keep the block short: on SQLite there is one writer at a time.

        Raises:
            StorageError: the database cannot be written, or others kept it busy for `BUSY_SECONDS`. Nothing was kept.
        """
        with (
            self._storage_errors(),
            self._turn,
            Session(self._writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError) as error:
            raise StorageError(
                f"The review's database {self.where} could not be used ({error.orig}). Nothing was changed; try again, "
                "and see that the database is reachable, writable, and its disk not full."
            ) from error
        except TimeoutError as error:
            raise StorageError(_silent(self.engine.url)) from error


def open_store(place: str | Path, *, migrate: bool = True) -> Store:
    """Open the database at `place`; a new one is made, an older one is brought up to date.

    Several servers may open the same new database at once.

    Args:
        place: a path or ``sqlite:///path`` of a file, or ``postgresql://user:password@host:port/database``. Over TLS
            with ``?sslmode=require`` (encrypted) or ``?sslmode=verify-full`` (and the server's name is proved).
        migrate: create or alter tables; otherwise they must be as this version needs them.

    Raises:
        InputError: a URL, driver, server or database that cannot be used, one of a newer version of cxr-audit, or,
            without `migrate`, of an older one. A password is never shown.
        StorageError: the folder of a SQLite file cannot be made.
    """
    url, arguments = address(place)
    engine = _engine(url, arguments)
    try:
        _prepare(engine)
        (bring_to_head if migrate else require_head)(engine)
    except (DBAPIError, sqlite3.Error) as error:
        engine.dispose()
        raise InputError(
            f"The review's database {shown(url)} cannot be used ({_reason(error)}). Check the path or the URL, the "
            "user's password and rights, and that the server runs."
        ) from error
    except TimeoutError as error:
        engine.dispose()
        raise StorageError(_silent(url)) from error
    except BaseException:
        engine.dispose()
        raise
    return Store(engine)


def _silent(url: URL) -> str:
    return (
        f"The review's database {shown(url)} has not answered for {SILENCE_SECONDS} s. Nothing was changed; try again "
        "when its server runs."
    )


def _reason(error: DBAPIError | sqlite3.Error) -> str:
    cause = (error.orig if isinstance(error, DBAPIError) else None) or error
    found = cause.args[0] if cause.args else cause
    return str(found.get("M", found) if isinstance(found, dict) else found)


def _engine(url: URL, arguments: dict[str, Any]) -> Engine:
    pool = {"pool_size": 10, "max_overflow": 40}
    if url.get_backend_name() != "sqlite":
        engine = create_engine(url, connect_args={"timeout": SILENCE_SECONDS, **arguments}, pool_pre_ping=True, **pool)
        event.listen(engine, "begin", _hold_still)
        return engine
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, **arguments}, **pool)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: sqlite3.Connection, _: object) -> None:
    # Python's driver would begin transactions by itself, late and never for DDL: `_begin` does it.
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(BEGIN, "BEGIN"))


def _hold_still(connection: Connection) -> None:
    # SQLite shows one state to a transaction; PostgreSQL would show each statement the latest.
    if connection.get_execution_options().get(_SNAPSHOT):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def _prepare(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            _write_ahead(connection.connection.driver_connection)


def _write_ahead(connection: Any) -> None:
    # Lasts in the file. SQLite does not wait for others here, however long it was told to.
    until = time.monotonic() + BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
