"""`cxr-audit serve`: a Prefect server, a worker, and what both need to know, until it is told to stop.

Server and worker are processes of their own, in sessions of their own: Ctrl-C reaches this process alone, which stops
the worker, then its flow runs, then the server. Should this process be killed, its children are terminated too.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from urllib.request import urlopen

import psutil

from flows.embedded_server import dies_with_us
from flows.served import remembered, server_of
from flows.settings import configure_prefect
from flows.workspace import ENVIRONMENT
from pipeline.errors import InputError

HOST = "127.0.0.1"
"""Who reaches a Prefect server can run what it likes as the worker's user: only this machine does."""
DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
"""Prefect's own variable for its database; SQLite in the workspace by default."""
STARTS = 180.0
"""Seconds that a server has to start; the first time it makes its tables."""
STOPS = 15.0
"""Seconds that a process has to stop before it is killed."""
_POLL = 0.2

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Serving:
    """What the command was told; see its options."""

    workspace: Path
    port: int
    gpus: int | None
    limit: int | None


def serve(asked: Serving, say: Tell) -> None:
    """Serve until SIGINT or SIGTERM.

    With PREFECT_API_URL set that server is used and only a worker is started.

    Raises:
        InputError: the workspace is served already, the port is taken, or a process ended by itself.
        StorageError: the workspace cannot be written.
    """
    os.environ[ENVIRONMENT] = str(asked.workspace)
    joined = os.environ.get("PREFECT_API_URL")
    if not joined and (api := server_of(asked.workspace)):
        raise InputError(f"{asked.workspace} is served already, by {api}. End that one first.")
    configure_prefect(asked.workspace)
    with ExitStack() as stack:
        stop = stack.enter_context(_told_to_stop())
        api = joined or stack.enter_context(_server(asked, stop, say))
        if stop.is_set():
            return
        os.environ["PREFECT_API_URL"] = api
        worker = stack.enter_context(_worker(asked, _gpus(asked, joined)))
        say(f"Prefect   {api.removesuffix('/api')}\nworkspace {asked.workspace}\nCtrl-C ends it.")
        while not stop.wait(_POLL):
            worker.check()
    say("Ended.")


@dataclass(frozen=True)
class Child:
    """A process of ours that is expected to live as long as we do."""

    name: str
    process: subprocess.Popen[bytes]

    def check(self) -> None:
        """Raise when it has ended.

        Raises:
            InputError: with its exit code.
        """
        if self.process.poll() is not None:
            raise InputError(f"The {self.name} ended by itself (exit code {self.process.returncode}); see above.")

    def end(self) -> None:
        """Terminate it, wait, and kill what is left of it and of all that it started."""
        try:
            family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        self.process.terminate()
        _, left = psutil.wait_procs(family, STOPS)
        for each in left:
            each.kill()
        self.process.wait()


@contextmanager
def _child(name: str, *arguments: str, **environment: str) -> Iterator[Child]:
    process = subprocess.Popen(  # noqa: S603 - this very Python, and arguments of ours
        [sys.executable, "-m", "prefect", *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    child = Child(name, process)
    try:
        with dies_with_us(process.pid):
            yield child
    finally:
        child.end()


@contextmanager
def _server(asked: Serving, stop: Event, say: Tell) -> Iterator[str]:
    """A Prefect server that has started, remembered by the workspace; the address of its API."""
    _free(asked.port)
    database = os.environ.get(DATABASE) or f"sqlite+aiosqlite:///{asked.workspace}/.prefect/prefect.db"
    # asyncpg is the driver that Prefect's server takes.
    database = database.replace("postgresql://", "postgresql+asyncpg://", 1)
    (asked.workspace / ".prefect").mkdir(parents=True, exist_ok=True)
    api = f"http://{HOST}:{asked.port}/api"
    say("Starting a Prefect server …")
    address = ("--host", HOST, "--port", str(asked.port))
    # The server asks itself, too; another one of the user's must not answer.
    settings = {DATABASE: database, "PREFECT_API_URL": api, "PREFECT_UI_API_URL": api}
    with _child("Prefect server", "server", "start", *address, **settings) as server:
        deadline = time.monotonic() + STARTS
        while not (stop.wait(_POLL) or _healthy(api)):
            server.check()
            if time.monotonic() > deadline:
                raise InputError(f"The Prefect server did not start within {STARTS:.0f} s.")
        with remembered(asked.workspace, api):
            yield api


@contextmanager
def _worker(asked: Serving, gpus: int | None) -> Iterator[Child]:
    """A worker at work, and everything registered that it serves."""
    from flows.deployments import POOL, register  # Prefect reads its settings when it is imported

    register(gpus)
    limit = () if asked.limit is None else ("--limit", str(asked.limit))
    name = f"cxr-audit {socket.gethostname()} {os.getpid()}"
    with _child("worker", "worker", "start", "--pool", POOL, "--type", "process", "--name", name, *limit) as worker:
        yield worker


def _gpus(asked: Serving, joined: str | None) -> int | None:
    """The limit to set: a server of ours gets the number of this machine's GPUs, or 1; another one keeps its own."""
    if asked.gpus is not None or joined:
        return asked.gpus
    import torch

    return max(torch.cuda.device_count(), 1)


@contextmanager
def _told_to_stop() -> Iterator[Event]:
    """Set by SIGINT and SIGTERM."""
    stop = Event()
    old = {each: signal.signal(each, lambda *_: stop.set()) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for each, handler in old.items():
            signal.signal(each, handler)


def _free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InputError(f"Port {port} of {HOST} is taken: give another one with --port.") from error


def _healthy(api: str) -> bool:
    try:
        with urlopen(f"{api}/health", timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except OSError:
        return False
