"""A repair as a process of this machine, in a session of its own: it outlives the page's server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Literal

from pydantic import ValidationError

from flows.progress_file import ENVIRONMENT, read_progress
from flows.results import RunResult
from flows.review.ledger import HELD, Ledger, Record
from flows.review.trouble import last_error
from flows.workspace import DATABASE_ENVIRONMENT, Workspace
from pipeline.errors import InputError
from pipeline.review.backend import Job, StageProgress

HOW = "a process of this machine"
PROGRAM = (sys.executable, "-m", "flows")
PATIENCE: tuple[tuple[signal.Signals, float], ...] = (
    (signal.SIGINT, 20.0),
    (signal.SIGTERM, 10.0),
    (signal.SIGKILL, 10.0),
)
"""How a repair is asked to stop, and how long, in seconds, it is waited for before the next, harder way."""
POLL = 0.1


def launch(run: Path, device: str, database: str | None, ledger: Ledger, lock: int) -> int:
    """Start `cxr-audit remediate`; returns the number of the process, which leads a group of its own."""
    workspace = Workspace(run.parent.parent)
    command = [*PROGRAM, "remediate", run.name, "--workspace", str(workspace.path), "--device", device, "--json"]
    environment = {**os.environ, ENVIRONMENT: str(ledger.progress), HELD: str(run)}
    if database:
        environment[DATABASE_ENVIRONMENT] = database
    with ledger.result.open("wb") as out, ledger.log.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - this very program, an id of ours and a checked device
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
            start_new_session=True,
            pass_fds=(lock,),
        )
    Thread(target=process.wait, daemon=True).start()  # takes its exit, or it would stay in the table of processes
    return process.pid


def look(record: Record, ledger: Ledger) -> Job:
    """How the repair is, or how it ended."""
    running = ledger.held()  # before its result is read: the other way round a repair could end in between
    stages = tuple(StageProgress(stage=name, done=done, total=of) for name, done, of in read_progress(ledger.progress))
    state, words = ("running", ()) if running else _end(record, ledger)
    return Job(
        state=state,
        started=record.started,
        ended=None if running else ledger.ended(),
        by=record.by,
        how=record.how,
        stages=stages,
        words=words,
        report=state == "complete",
    )


def stop(record: Record, ledger: Ledger) -> None:
    """End the repair's whole group, the gentle way first.

    Raises:
        InputError: it runs on another machine.
    """
    if record.host != socket.gethostname() or record.pid is None:
        raise InputError(
            f"This repair runs on {record.host}. Stop it there, or from a review page that is served there."
        )
    for way, seconds in PATIENCE:
        if not ledger.held():
            return
        _send(record.pid, way)
        _wait(ledger, seconds)


def _send(pid: int, way: signal.Signals) -> None:
    """To the group that the repair leads, or, where a command was started in another's group, to its process.

    An interrupt goes to the process alone: Prefect's embedded server is in the group, and a repair whose server has
    gone tries for long to tell it of its end. The lock is held, so that the number still is the repair's.
    """
    for kill in (os.kill,) if way == signal.SIGINT else (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            kill(pid, way)
            return


def _wait(ledger: Ledger, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while ledger.held() and time.monotonic() < deadline:
        time.sleep(POLL)


def _end(record: Record, ledger: Ledger) -> tuple[Literal["complete", "cancelled", "failed"], tuple[str, ...]]:
    result = _result(ledger)
    if result is not None:
        return "complete", tuple(result.words)
    if record.cancelled_by:
        return "cancelled", (f"Stopped by {record.cancelled_by}. What was finished is kept: start it again to go on.",)
    return "failed", (_trouble(ledger),)


def _result(ledger: Ledger) -> RunResult | None:
    if not ledger.result.exists():
        return None
    try:
        return RunResult.model_validate(json.loads(ledger.result.read_text(encoding="utf-8")))
    except (ValueError, ValidationError):  # it ended before it had said everything
        return None


def _trouble(ledger: Ledger) -> str:
    log = ledger.log.read_text(encoding="utf-8", errors="replace") if ledger.log.exists() else ""
    words = last_error(log) or "It ended without a word."
    return f"{words} Start it again to go on where it stopped; its log is {ledger.shown_log}."
