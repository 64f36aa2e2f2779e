"""A run's decisions: an append-only JSON-lines file. A decision is superseded by a later one, never overwritten."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from pipeline import __version__
from pipeline.artifacts import read_json, storage_errors
from pipeline.errors import InputError, did_you_mean
from pipeline.types import REGION_KINDS

Verdict = Literal["accepted", "rejected", "keep", "unsure"]
DECISIONS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Decision:
    """Who decided what about one finding, when, why, and with which software."""

    finding: str
    decision: Verdict
    reviewer: str
    comment: str
    time: str
    """ISO 8601, UTC."""
    software: str


def record_decision(run: Path, finding: str, decision: str, reviewer: str, comment: str = "") -> Decision:
    """Append a decision to `<run>/decisions.jsonl`, flushed to disk before returning.

    Args:
        run: a run folder with findings.json.
        finding: id of one of its findings.
        decision: one of `DECISIONS`.
        reviewer: who decides; never a patient.
        comment: why.

    Raises:
        InputError: an unknown finding or decision, or acceptance of a finding that is not about regions.
    """
    kinds = {str(entry["id"]): str(entry["kind"]) for entry in read_json(run / "findings.json")["findings"]}
    known = list(kinds)
    if finding not in known:
        raise InputError(f"{run.name} has no finding {finding!r}. {did_you_mean(finding, known)}")
    if decision not in DECISIONS:
        raise InputError(f"unknown decision {decision!r}. {did_you_mean(decision, DECISIONS)}")
    if decision == "accepted" and kinds[finding] not in REGION_KINDS:
        raise InputError(
            f"{finding} ({kinds[finding]}) has no regions that could be removed from images, so it cannot be accepted "
            "for repair. Decide rejected, keep or unsure, with a comment."
        )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    entry = Decision(finding, decision, reviewer, comment, now, f"cxr-audit {__version__}")
    path = run / "decisions.jsonl"
    with storage_errors(path), path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(asdict(entry), sort_keys=True) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    return entry


def decisions_of(run: Path) -> dict[str, Decision]:
    """The decision in force for each decided finding of a run, by finding id."""
    path = run / "decisions.jsonl"
    if not path.exists():
        return {}
    entries = [Decision(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {entry.finding: entry for entry in entries}
