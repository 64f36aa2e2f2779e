"""The database: where it may be, how it comes to be, and what it survives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text

from pipeline.errors import InputError, StorageError
from pipeline.review.store import Store, open_store
from pipeline.review.store.tables import Run, Table, User
from tests.pipeline.review.study import NOW, PostgresServer, large_run

OPEN = """
import sys
from pipeline.review.store import open_store
sys.stdin.readline()
open_store(sys.argv[1]).dispose()
"""
WRITE_AND_DIE = """
import datetime, os, sys
from pipeline.review.store import open_store
from pipeline.review.store.tables import User
with open_store(sys.argv[1]).writing() as session:
    session.add(User(name="ann", password="-", role="viewer", created=datetime.datetime.now(datetime.UTC)))
os.kill(os.getpid(), 9)
"""


def test_the_migrations_make_the_tables_that_the_code_describes(any_store: Store) -> None:
    with any_store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
        indexes = {each["name"] for table in Table.metadata.tables for each in inspect(connection).get_indexes(table)}
    assert indexes >= {each.name for table in Table.metadata.tables.values() for each in table.indexes}


def test_a_database_is_opened_again_with_what_it_holds(store_url: str) -> None:
    large_run(open_store(store_url), 3)
    with open_store(store_url, migrate=False).reading() as session:
        assert session.scalars(select(Run.run)).all() == ["synthetic"]


@pytest.mark.slow
def test_servers_that_open_a_new_database_at_once_all_find_it_whole(store_url: str) -> None:
    command = [sys.executable, "-c", OPEN, store_url]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    servers = [subprocess.Popen(command, text=True, **pipes) for _ in range(3)]
    for server in servers:
        assert server.stdin is not None
        server.stdin.write("\n")
        server.stdin.flush()
    outcomes = [(server.communicate(timeout=60)[1], server.returncode) for server in servers]
    assert [code for _, code in outcomes] == [0, 0, 0], outcomes
    open_store(store_url, migrate=False).dispose()


@pytest.mark.slow
def test_what_was_committed_survives_a_killed_process(store_url: str) -> None:
    done = subprocess.run([sys.executable, "-c", WRITE_AND_DIE, store_url], timeout=60, check=False)
    assert done.returncode == -9
    with open_store(store_url).reading() as session:
        assert session.get(User, "ann") is not None


def test_a_block_that_fails_keeps_nothing(any_store: Store) -> None:
    with pytest.raises(ZeroDivisionError), any_store.writing() as session:
        session.add(User(name="ann", password="-", role="viewer", created=NOW))
        session.flush()
        _ = 1 / 0
    with any_store.reading() as session:
        assert session.get(User, "ann") is None


def test_a_reading_session_keeps_no_change(any_store: Store) -> None:
    with any_store.reading() as session:
        session.add(User(name="ann", password="-", role="viewer", created=NOW))
        session.flush()
    with any_store.reading() as session:
        assert session.get(User, "ann") is None


def test_moments_come_back_in_utc(any_store: Store) -> None:
    with any_store.writing() as session:
        session.add(User(name="ann", password="-", role="viewer", created=NOW))
    with any_store.reading() as session:
        assert session.get_one(User, "ann").created == NOW


def test_sqlite_is_set_up_to_lose_nothing(store: Store) -> None:
    with store.reading() as session:
        pragma = {
            name: session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("mysql://ann:secret@host/reviews", "mysql"),
        ("postgresql+psycopg2://ann:secret@host/reviews", "psycopg2"),
        ("postgresql://ann:secret@host", "names no database"),
        ("postgresql://ann:secret@host/reviews?sslmode=maybe", "verify-full"),
        ("postgresql://ann:secret@host/reviews?ssl=1", "sslmode"),
        ("postgresql://ann:secret@host:port/reviews", "cannot be read"),
        ("sqlite://", "path of a file"),
        ("sqlite:///:memory:", "path of a file"),
        ("postgresql://ann:secret@127.0.0.1:1/reviews", "server runs"),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(place: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        open_store(place)
    assert "secret" not in str(refused.value)


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        open_store(tmp_path)


def test_a_file_of_something_else_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database " * 100)
    with pytest.raises(InputError, match="not a database"):
        open_store(tmp_path / "notes.txt")


@pytest.mark.postgres
def test_a_wrong_password_is_told_and_not_shown(postgres: PostgresServer) -> None:
    with pytest.raises(InputError, match="password authentication failed") as refused:
        open_store(postgres.url("postgres").replace("only-for-tests", "guessed"))
    assert "guessed" not in str(refused.value)


def test_a_database_of_a_newer_version_is_left_alone(store_url: str) -> None:
    with open_store(store_url).writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for migrate in (True, False):
        with pytest.raises(InputError, match="newer version"):
            open_store(store_url, migrate=migrate)


def test_without_migration_an_empty_database_is_refused(store_url: str) -> None:
    with pytest.raises(InputError, match="brings the tables up to date"):
        open_store(store_url, migrate=False)


def test_tables_of_other_software_are_not_touched(store_url: str) -> None:
    store = open_store(store_url)
    with store.writing() as session:
        session.execute(text("DROP TABLE alembic_version"))
    with pytest.raises(InputError, match="other software"):
        open_store(store_url)


def test_trouble_of_the_database_is_told_as_such(store: Store) -> None:
    with pytest.raises(StorageError, match="could not be used"), store.reading() as session:
        session.execute(text("SELECT * FROM nowhere"))
