"""The tables' version: brought to what this software needs, or refused with a reason."""

from __future__ import annotations

import threading
from importlib.resources import as_file, files

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from pipeline.errors import InputError
from pipeline.review.store.address import shown
from pipeline.review.store.tables import Table

BEGIN = "review_begin"
"""Execution option: the statement that begins a transaction on SQLite."""
_LOCK = 0x6378_7261
"""Of PostgreSQL's advisory locks: who holds it migrates."""
_TURN = threading.Lock()  # Alembic keeps its context in a global


def bring_to_head(engine: Engine) -> None:
    """Create or alter the tables, in one transaction; whoever comes second waits and finds them done.

    Raises:
        InputError: the database is of a newer version, or somebody else's.
    """
    with _TURN, engine.execution_options(**{BEGIN: "BEGIN IMMEDIATE"}).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        with as_file(files("pipeline.review.store") / "migrations") as scripts:
            config = Config(attributes={"connection": connection})
            config.set_main_option("script_location", str(scripts).replace("%", "%%"))
            if _revision(connection, ScriptDirectory.from_config(config)) is None:
                _refuse_foreign(connection)
            command.upgrade(config, "head")


def require_head(engine: Engine) -> None:
    """Check that the tables are as this software needs them.

    Raises:
        InputError: they are of a newer or an older version.
    """
    with engine.connect() as connection, as_file(files("pipeline.review.store") / "migrations") as scripts:
        directory = ScriptDirectory(str(scripts))
        found = _revision(connection, directory)
    if found != directory.get_current_head():
        raise InputError(
            f"The review's database {shown(engine.url)} is at revision {found}, this version of cxr-audit needs "
            f"{directory.get_current_head()}. Start `cxr-audit review` once: it brings the tables up to date."
        )


def _revision(connection: Connection, directory: ScriptDirectory) -> str | None:
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in {script.revision for script in directory.walk_revisions()}:
        raise InputError(
            f"The review's database {shown(connection.engine.url)} is at revision {found}, which this version of "
            "cxr-audit does not know: a newer version made it. Install that version, or give another database."
        )
    return found


def _refuse_foreign(connection: Connection) -> None:
    taken = sorted(set(inspect(connection).get_table_names()) & set(Table.metadata.tables))
    if taken:
        raise InputError(
            f"The database {shown(connection.engine.url)} already has tables of other software with names that the "
            f"review needs ({', '.join(taken)}). Give the review a database of its own."
        )
