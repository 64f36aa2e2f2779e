"""One repair of a run at a time, whoever started it: the page, a command, a schedule or an automation."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from flows.results import RunResult
from flows.review.ledger import HELD, Ledger, Record, busy
from pipeline.artifacts import write_text


@contextmanager
def at_work(run: Path) -> Iterator[Callable[[RunResult], None]]:
    """Hold a run's lock while it is repaired, and tell the review page about it; the block hands in its result.

    A process that the page started holds the lock already, and the page knows of it.

    Raises:
        InputError: the run is being repaired.
    """
    if os.environ.get(HELD) == str(run):
        yield lambda result: None
        return
    ledger = Ledger(run)
    with ledger.lock() as lock:
        if lock is None:
            raise busy(ledger.record())
        record = _record()
        known = ledger.record()
        if known is None or known.flow_run is None or known.flow_run != record.flow_run:  # else the page started it
            ledger.clear()
            ledger.write(record)
        yield lambda result: write_text(ledger.result, result.model_dump_json())


def refuse_second(run: Path) -> None:
    """Say that a run is being repaired rather than wait for the end of it, which may be hours away.

    Raises:
        InputError: it is, by another process.
    """
    ledger = Ledger(run)
    if os.environ.get(HELD) != str(run) and ledger.held():
        raise busy(ledger.record())


def _record() -> Record:
    from prefect.runtime import deployment, flow_run

    deployed = deployment.id is not None
    name = f"{flow_run.flow_name}/{deployment.name}"
    return Record(
        by=name if deployed else getpass.getuser(),
        started=datetime.now(UTC),
        how=name if deployed else "a command",
        host=socket.gethostname(),
        pid=os.getpid(),
        flow_run=flow_run.id if deployed else None,
    )
