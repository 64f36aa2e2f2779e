"""SIGKILL in every stage: the same command again ends with the bytes of an undisturbed run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import Command, content, half_written

pytestmark = pytest.mark.slow

MOMENTS: dict[str, Callable[[Path], bool]] = {
    "generate": lambda w: any(w.glob("generated/*.partial/*/*.png")),
    "ingest": lambda w: any(w.glob("datasets/*/*.partial")),
    "train": lambda w: any(w.glob("models/*/*partial/checkpoint*")),
    "detect": lambda w: any(w.glob("runs/*/profile.json")),
    "explain": lambda w: any(w.glob("runs/*/saliency.partial/batches/*/*.parquet")),
    "flag": lambda w: any(w.glob("runs/*/saliency")),
    "plan": lambda w: any(w.glob("runs/*/findings.json")),
    "cleanse": lambda w: any(w.glob("runs/*/plan.yaml")),
    "retrain": lambda w: len([*w.glob("models/*/*/models/model.pt")]) >= 3,
    "compare": lambda w: any(w.glob("runs/*/evaluations.parquet")),
}
"""When to kill: as soon as this has been left behind."""


@pytest.mark.timeout(600)
def test_killed_in_every_stage_ends_with_the_same_bytes(tmp_path: Path, calm: Path, command: Command) -> None:
    killed = tmp_path / "killed"
    for moment in MOMENTS.values():
        command.kill_when(killed, moment)
        command.assert_no_orphan()  # the process alone was killed, not its group
    command.complete(killed)
    assert content(killed) == content(calm)
    assert half_written(killed) == []
    assert command.complete(killed).worked == 0
    assert content(killed) == content(calm)


@pytest.mark.timeout(600)
def test_a_killed_process_takes_the_embedded_server_with_it(tmp_path: Path, command: Command) -> None:
    del command.environment["PREFECT_API_URL"]
    command.kill_when(tmp_path, MOMENTS["ingest"], PREFECT_HOME=str(tmp_path / "prefect"))
    command.assert_no_orphan()


@pytest.mark.timeout(600)
def test_two_audits_at_once_end_as_one_after_the_other(tmp_path: Path, calm: Path, command: Command) -> None:
    """The clock of one of them jumps back and forth by a day."""
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(JUMPING_CLOCK)
    clock = os.pathsep.join([str(tmp_path / "clock"), os.environ.get("PYTHONPATH", "")])
    workspace = tmp_path / "ws"
    two = [command.start(workspace), command.start(workspace, PYTHONPATH=clock)]
    ended = [command.end(process) for process in two]
    assert [each.code for each in ended] == [0, 0], [each.err[-2000:] for each in ended]
    assert any("Waiting for process" in each.said for each in ended)
    assert content(workspace) == content(calm)
    assert half_written(workspace) == []


@pytest.mark.timeout(600)
def test_who_waits_for_a_killed_process_goes_on(tmp_path: Path, command: Command) -> None:
    first = command.start(tmp_path)
    command.wait_for(MOMENTS["train"], tmp_path, first)
    os.kill(first.pid, signal.SIGSTOP)
    second = command.start(tmp_path, command="audit")
    command.wait_for(lambda w: '"Waiting for ' in _logs(w), tmp_path, second)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    command.wait_for(MOMENTS["detect"], tmp_path, second)
    os.kill(second.pid, signal.SIGKILL)
    _, said = second.communicate()
    assert f"Waiting for process {first.pid} on" in " ".join(said.split())


def _logs(workspace: Path) -> str:
    return "".join(path.read_text() for path in workspace.glob("logs/*.jsonl"))


JUMPING_CLOCK = """
import time
_true, _calls = time.time, [0]
def _jumping():
    _calls[0] += 1
    return _true() + (86400 if _calls[0] // 500 % 2 else -86400 if _calls[0] // 250 % 2 else 0)
time.time = _jumping
"""
