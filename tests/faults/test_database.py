"""A PostgreSQL server that stops answering, is killed, and comes back, below the review's database."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from pipeline.errors import InputError, StorageError
from pipeline.review.store import engine, open_store
from tests.pipeline.review.study import PostgresServer, large_run, postgres_programs, postgres_server

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    if postgres_programs() is None:
        reason = "no PostgreSQL server: apt-get install postgresql"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with postgres_server() as made:
        yield made


@contextmanager
def halted(server: PostgresServer) -> Iterator[None]:
    """All its processes stopped: connections stand and nothing answers, as behind an unplugged cable."""
    main = next(
        each.pid for each in psutil.net_connections("tcp") if each.laddr.port == server.port and each.status == "LISTEN"
    )
    processes = [psutil.Process(main), *psutil.Process(main).children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def test_a_silent_server_ends_nothing_half_and_is_used_again_when_it_is_back(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SILENCE_SECONDS", 2)
    url = server.create_database()
    store = open_store(url)
    with halted(server):
        with pytest.raises(StorageError, match=r"has not answered for 2 s\. Nothing was changed"):
            large_run(store, images=4)
        with pytest.raises(StorageError, match="has not answered"):
            open_store(url)
    large_run(store, images=4)  # the rows of the first attempt would be in its way
    store.dispose()


def test_a_server_that_drops_its_connections_is_named_without_the_password(server: PostgresServer) -> None:
    url = server.create_database()
    store = open_store(url)
    with store.writing() as session:
        own = session.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with pytest.raises(StorageError, match="could not be used") as caught, store.writing() as other:
            theirs = other.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            assert theirs != own
            session.connection().exec_driver_sql(f"SELECT pg_terminate_backend({theirs})")
            other.connection().exec_driver_sql("SELECT 1")
    assert "review:***@" in str(caught.value)
    large_run(store, images=4)  # dead connections of the pool are noticed and replaced
    store.dispose()


def test_no_server_at_all_says_what_to_check(server: PostgresServer) -> None:
    with pytest.raises(InputError, match="that the server runs"):
        open_store(f"postgresql://review:secret@127.0.0.1:1/{server.port}")
