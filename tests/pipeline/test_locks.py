"""Locks between real processes: one at a time, who waits says for whom, and a killed holder holds nothing."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.errors import StorageError
from pipeline.locks import holder_of, lock_of, locked

HOLD = """
import sys, time
from pathlib import Path
from pipeline.locks import locked
with locked(Path(sys.argv[1]), "trains demo"):
    print("held", flush=True)
    sys.stdin.read()
"""
COUNT = """
import sys
from pathlib import Path
from pipeline.locks import locked
target = Path(sys.argv[1])
for _ in range(200):
    with locked(target, "counts"):
        number = int(target.read_text())
        target.write_text(str(number + 1))
"""


def start(script: str, target: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def holder(target: Path) -> subprocess.Popen[str]:
    process = start(HOLD, target)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_no_count_is_lost_among_processes(tmp_path: Path) -> None:
    target = tmp_path / "number"
    target.write_text("0")
    processes = [start(COUNT, target) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert target.read_text() == "600"
    assert not lock_of(target).exists()


@pytest.mark.parametrize("ending", ["orderly", "killed"])
def test_the_waiter_says_for_whom_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture, ending: str) -> None:
    target = tmp_path / "models" / "demo"
    process = holder(target)
    assert holder_of(target) == f"process {process.pid} on {os.uname().nodename}, which trains demo"
    reached: list[float] = []

    def wait() -> None:
        with locked(target, "waits"):
            reached.append(time.monotonic())

    with caplog.at_level(logging.WARNING, "cxr_audit.locks"):
        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.4)
        assert reached == []
        if ending == "killed":
            os.kill(process.pid, signal.SIGKILL)
        process.communicate("", timeout=10)
        waiter.join(10)
    assert len(reached) == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"Waiting for process {process.pid} on {os.uname().nodename}, which trains demo.",
        "Going on: it has finished, or ended.",
    ]
    assert holder_of(target) is None


def test_a_holder_may_ask_again_and_another_thread_may_not(tmp_path: Path) -> None:
    target, order = tmp_path / "run", []

    def other() -> None:
        with locked(target, "waits"):
            order.append("other")

    with locked(target, "works"), locked(target, "works within"):
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join(10)
    assert order == ["first", "other"]


def test_a_lock_that_cannot_be_written_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("pipeline.locks.os.open", refuse)
    with pytest.raises(StorageError, match="--workspace"), locked(tmp_path / "run", "works"):
        pass
