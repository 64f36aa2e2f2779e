"""A run folder to start repairs of, and a program that stands for `cxr-audit remediate`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from flows.review import processes
from flows.review.ledger import Ledger
from pipeline.artifacts import RunFolder

REPAIR = """
import json, os, signal, sys, time
from pathlib import Path
from flows.console import progress, shown
from pipeline.errors import StorageError

how, run, workspace = os.environ["STUB"], sys.argv[2], Path(sys.argv[4])
with shown():
    progress()("train before 0", 1, 2)
    if how == "stubborn":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if how in ("slow", "stubborn"):
        (workspace / "ready").touch()
        time.sleep(60)
    if how == "ours":
        print("InputError: an earlier one", file=sys.stderr)
        print("StorageError: The disk is full: free some space.", file=sys.stderr)
        sys.exit(1)
    if how == "theirs":
        raise KeyError("Doe^Jane")
    progress()("train before 0", 2, 2)
print(json.dumps({"run": run, "report": run, "state": "complete", "findings": {}, "words": [" ".join(sys.argv[5:])],
                  "worked": 3, "seconds": 1.0}))
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty run folder; what is started for it are `stubs`, and none outlives the test."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    program = tmp_path / "repair.py"
    program.write_text(REPAIR)
    monkeypatch.setattr(processes, "PROGRAM", (sys.executable, str(program)))
    folder = RunFolder(tmp_path / "ws" / "runs" / "r1", {}).path
    yield folder
    record = Ledger(folder).record()
    if record and record.pid and Ledger(folder).held():
        with suppress(ProcessLookupError):
            os.killpg(record.pid, signal.SIGKILL)


@pytest.fixture
def behave(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Choose how the next repair goes: fine, slow, stubborn, ours or theirs (errors)."""
    return lambda how: monkeypatch.setenv("STUB", how)
