"""The log of decisions as files that people open elsewhere."""

from __future__ import annotations

import csv
import io
from typing import Any

from sqlalchemy.orm import Session

from pipeline.review.store.history import record, records
from pipeline.review.store.tables import Decision, Run
from pipeline.review.values import Actor, DecisionRecord
from pipeline.spreadsheets import harmless


def decisions_csv(session: Session, run: str, actor: Actor | None = None) -> str:
    """All decisions of an audit, oldest first, one a line; unknown is empty.

    No cell can be taken for a formula by a spreadsheet: where one could, an apostrophe stands before it.

    Args:
        session: of the database.
        run: the audit.
        actor: who asks, see `history`; null: everything.

    Raises:
        Missing: no such audit.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(DecisionRecord.model_fields)
    for entry in _entries(session, run, actor):
        writer.writerow([harmless(value) for value in entry.model_dump(mode="json").values()])
    return text.getvalue()


def decisions_json(session: Session, run: str, actor: Actor | None = None) -> dict[str, Any]:
    """All decisions of an audit, oldest first, ready to be written as JSON; otherwise as `decisions_csv`."""
    entries = [entry.model_dump(mode="json") for entry in _entries(session, run, actor)]
    audit = session.get_one(Run, run)
    return {"run": run, "dataset": audit.dataset, "readers": audit.readers, "decisions": entries}


def _entries(session: Session, run: str, actor: Actor | None) -> list[DecisionRecord]:
    chosen = records(session, run, actor).order_by(Decision.id)
    return [record(decision, action) for decision, action in session.execute(chosen)]
