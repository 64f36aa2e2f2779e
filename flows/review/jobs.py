"""Repairs that the review page starts: one at a time for a run, as a process or as a flow run of a deployment.

A repair does not depend on the page's server, and the server keeps nothing about it in memory: any server, started at
any time, reads from disk or from Prefect how it is.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from flows.prefect_api import configured
from flows.review import deployed, processes
from flows.review.ledger import Ledger, Record, busy
from pipeline.review.backend import Job

ALIVE = ("waiting", "running")


@dataclass(frozen=True)
class Jobs:
    """Starts, shows and stops repairs.

    Attributes:
        database: of the review, given to processes; None: they look for it as every command does.
    """

    database: str | None = None

    def start(self, run: Path, by: str, device: str = "auto") -> Job:
        """Start `remediate`, or let it go on where it was stopped.

        Raises:
            InputError: one is at work already, or the configured Prefect API does not answer.
            StorageError: the workspace cannot be written.
        """
        ledger = Ledger(run)
        with ledger.lock() as lock:
            if lock is None:
                raise busy(ledger.record())
            last = ledger.record()
            if last and last.flow_run and deployed.look(last, last.flow_run).state in ALIVE:
                raise busy(last)
            target = deployed.deployment() if configured() else None
            ledger.clear()
            if target is None:
                self._process(run, by, device, ledger, lock)
            else:
                deployment, name = target
                flow_run = deployed.launch(deployment, run, device)
                ledger.write(Record(by=by, started=datetime.now(UTC), how=name, flow_run=flow_run))
        return self.job(run)

    def job(self, run: Path) -> Job:
        """The last repair of a run."""
        ledger = Ledger(run)
        record = ledger.record()
        if record is None:
            return Job(state="none")
        return deployed.look(record, record.flow_run) if record.flow_run else processes.look(record, ledger)

    def cancel(self, run: Path, by: str) -> Job:
        """Stop the repair of a run. A process has ended when this returns; a flow run ends soon after.

        Raises:
            InputError: it runs on another machine, or the configured Prefect API does not answer.
        """
        ledger, job = Ledger(run), self.job(run)
        record = ledger.record()
        if record is None or job.state not in ALIVE:
            return job
        ledger.write(record.model_copy(update={"cancelled_by": by}))
        if record.flow_run:
            deployed.stop(record.flow_run)
        else:
            processes.stop(record, ledger)
        return self.job(run)

    def _process(self, run: Path, by: str, device: str, ledger: Ledger, lock: int) -> None:
        """The record goes first: a process must not run of which nobody can be told who started it."""
        record = Record(by=by, started=datetime.now(UTC), how=processes.HOW, host=socket.gethostname())
        ledger.write(record)
        pid = processes.launch(run, device, self.database, ledger, lock)
        ledger.write(record.model_copy(update={"pid": pid}))
