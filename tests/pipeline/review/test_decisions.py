"""Decisions are appended, superseded, never overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.artifacts import write_json
from pipeline.errors import InputError
from pipeline.review import decisions_of, record_decision


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_json(tmp_path / "findings.json", {"findings": [{"id": "F1", "kind": "side"}, {"id": "F2", "kind": "word"}]})
    return tmp_path


def test_later_decision_wins_and_the_earlier_stays_on_disk(run: Path) -> None:
    record_decision(run, "F1", "accepted", "ann")
    record_decision(run, "F1", "keep", "bob", "needed for side")
    assert decisions_of(run)["F1"].decision == "keep"
    assert "F2" not in decisions_of(run)
    assert len((run / "decisions.jsonl").read_text().splitlines()) == 2


def test_unknown_finding_and_decision_are_refused(run: Path) -> None:
    with pytest.raises(InputError, match=r"Did you mean 'F1'|Allowed: F1, F2"):
        record_decision(run, "F9", "accepted", "ann")
    with pytest.raises(InputError, match="Did you mean 'accepted'"):
        record_decision(run, "F1", "accept", "ann")
    assert decisions_of(run) == {}
