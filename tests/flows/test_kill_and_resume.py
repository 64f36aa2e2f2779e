"""SIGKILL in every stage, the same command again, the same bytes; and a second identical run does no work."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent

pytestmark = pytest.mark.slow

MOMENTS: dict[str, Callable[[Path], bool]] = {
    "generate": lambda w: any(w.glob("generated/*")),
    "ingest": lambda w: any(w.glob("datasets/*/*.partial")),
    "train": lambda w: any(w.glob("models/*/*partial/checkpoint*")),
    "detect": lambda w: any(w.glob("runs/*/predictions.parquet")),
    "explain": lambda w: any(w.glob("runs/*/regions.parquet")),
    "flag": lambda w: any(w.glob("runs/*/saliency")),
    "plan": lambda w: any(w.glob("runs/*/findings.json")),
    "cleanse": lambda w: any(w.glob("runs/*/plan.yaml")),
    "retrain": lambda w: len([*w.glob("models/*/*/models/model.pt")]) >= 3,
    "compare": lambda w: any(w.glob("runs/*/evaluations.parquet")),
}
"""When to kill: as soon as the stage before it has left this behind."""


def command(manifest: Path, workspace: Path) -> list[str]:
    return [str(BIN / "cxr-audit"), "run", str(manifest), "--workspace", str(workspace), "--preset", "quick", "--json"]


def kill_when(moment: Callable[[Path], bool], command: list[str], workspace: Path, environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 240
    while not moment(workspace):
        assert process.poll() is None, "the command ended before the stage was reached"
        assert time.monotonic() < deadline, "the stage was never reached"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def bytes_of(workspace: Path) -> dict[str, str]:
    """Hash of every file of data sets, models and runs."""
    files = [p for part in ("datasets", "models", "runs") for p in (workspace / part).rglob("*") if p.is_file()]
    return {str(p.relative_to(workspace)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.timeout(900)
def test_killed_in_every_stage_ends_with_the_same_bytes(
    tmp_path: Path, tiny_manifest: Path, prefect_environment: dict[str, str]
) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    undisturbed = subprocess.run(
        command(tiny_manifest, calm), env=prefect_environment, capture_output=True, text=True, check=False
    )
    assert undisturbed.returncode == 0, undisturbed.stderr[-3000:]
    for moment in MOMENTS.values():
        kill_when(moment, command(tiny_manifest, killed), killed, prefect_environment)
    final = subprocess.run(
        command(tiny_manifest, killed), env=prefect_environment, capture_output=True, text=True, check=False
    )
    assert final.returncode == 0, final.stderr[-3000:]
    assert bytes_of(killed) == bytes_of(calm)
    assert [p for p in killed.rglob("*partial*")] == []

    again = subprocess.run(
        command(tiny_manifest, killed), env=prefect_environment, capture_output=True, text=True, check=False
    )
    assert json.loads(again.stdout)["worked"] == 0
    assert bytes_of(killed) == bytes_of(calm)
