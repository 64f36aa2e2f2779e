"""New audits of the workspace enter the review by themselves."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from pipeline.artifacts import read_json
from pipeline.dataset import DatasetVersion
from pipeline.errors import CxrAuditError, IntegrityError, StorageError
from pipeline.review.store import Store
from pipeline.review.store.catalogue import catalogue
from pipeline.review.store.register import register

logger = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds that a page waits for new audits; a large one arrives while people already work."""


class Arrivals:
    """Registers finished audits when they are there, and again when their ledger changed."""

    def __init__(self, store: Store, workspace: Path) -> None:
        self._store = store
        self._workspace = workspace
        self._seen: dict[Path, int] = {}
        self._working = threading.Lock()

    def waiting(self) -> list[Path]:
        """Folders of finished audits that were not registered as they are now. Costs two stat calls a run."""
        return [run for run, stamp in self._finished().items() if self._seen.get(run) != stamp]

    def admit(self, run: Path) -> None:
        """Register one audit. A broken one is not tried again until its ledger changes.

        Raises:
            CxrAuditError: its artifacts or its data set are missing or broken.
        """
        self._seen[run] = (run / "run.json").stat().st_mtime_ns
        request = read_json(run / "run.json").get("request", {})
        if "dataset" not in request:
            raise IntegrityError(f"The ledger of run {run.name} names no data set. Repeat the audit.")
        try:
            register(self._store, run, DatasetVersion(self._workspace / "datasets" / request["dataset"]))
        except StorageError:  # the database is away or busy: the next who asks tries again
            del self._seen[run]
            raise
        with self._store.reading() as session:
            catalogue(session, run.name)  # seconds for a large audit: nobody waits for them at the gallery

    def look(self) -> None:
        """Register what is new, in the background where it takes longer than `PATIENCE`. Never raises."""
        if self.waiting() and not self._working.locked():
            thread = threading.Thread(target=self._admit_all, name="arrivals", daemon=True)
            thread.start()
            thread.join(PATIENCE)

    def _admit_all(self) -> None:
        with self._working:
            for run in self.waiting():
                try:
                    self.admit(run)
                except (CxrAuditError, OSError) as error:
                    logger.warning("Audit %s cannot be reviewed: %s", run.name, error)

    def _finished(self) -> dict[Path, int]:
        """Run folders with findings, and when their ledgers were written, the oldest first."""
        found = {}
        for findings in (self._workspace / "runs").glob("*/findings.json"):
            ledger = findings.with_name("run.json")
            if ledger.exists():
                found[findings.parent] = ledger.stat().st_mtime_ns
        return dict(sorted(found.items(), key=lambda each: each[1]))
