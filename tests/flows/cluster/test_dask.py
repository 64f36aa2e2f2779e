"""The same bytes from a real scheduler and two workers as from one process; workers of another version; deaths."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.slow

STUDY = """
name: smallest
title: A study that goes through every stage of an audit and a repair
licence: Apache-2.0
classes: [clear, opacity]
positive: opacity
sources:
  - {name: phantom, layout: generated}
generate:
  {images: 80, other_source_images: 12, size: 96, strength: 1.0, mark: PORTABLE, format: png, honest_signal: 0.2}
audit:
  ingest: {store_size: 96}
  train: {network: small, input_size: 64, epochs: 3, patience: 8, batch_size: 8, learning_rate: 0.006, augment: false}
  explain: {images: 2, mask_size: 7, batch_size: 1, options: {igos++-fast: {ig_steps: 2, iterations: 1}}}
  flag: {images: 16, min_effect: 0.0, fdr: 0.5, transplants: 4, blackout_images: 20}
  compare: {seeds: 3, bootstrap: 100}
"""

OLD_WORKER = """
import pipeline
pipeline.__version__ = "0.0.1"
from distributed.cli.dask_worker import main
main()
"""


@dataclass
class Cluster:
    """A scheduler and its workers, as processes of their own."""

    folder: Path
    environment: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def scheduler_file(self) -> Path:
        return self.folder / "scheduler.json"

    @property
    def address(self) -> str:
        return str(json.loads(self.scheduler_file.read_text())["address"])

    def start(self, *command: str | Path) -> None:
        log = (self.folder / f"{len(self.processes)}.log").open("wb")
        options = {"env": self.environment, "cwd": self.folder, "stdout": log, "stderr": log}
        self.processes.append(subprocess.Popen(list(map(str, command)), start_new_session=True, **options))

    def start_scheduler(self) -> None:
        self.start(BIN / "dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                   "--scheduler-file", self.scheduler_file)  # fmt: skip
        deadline = time.monotonic() + 60
        while not self.scheduler_file.exists():
            assert time.monotonic() < deadline, "the scheduler did not start within 60 s"
            time.sleep(0.1)

    def start_worker(self, *program: str | Path) -> None:
        self.start(*(program or (BIN / "dask", "worker")), self.address, "--host", "127.0.0.1", "--nthreads", "1",
                   "--no-nanny", "--no-dashboard", "--local-directory", self.folder / "scratch")  # fmt: skip

    def stop(self) -> None:
        for process in reversed(self.processes):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path, prefect_environment: dict[str, str]) -> Iterator[Cluster]:
    """A scheduler without workers."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    made = Cluster(folder, {**prefect_environment, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)})
    try:
        made.start_scheduler()
        yield made
    finally:
        made.stop()


def started(manifest: Path, workspace: Path, environment: dict[str, str], *options: str) -> subprocess.Popen[str]:
    """An audit and the repair of what it confirms, at work."""
    command = [BIN / "cxr-audit", "run", manifest, "--workspace", workspace, "--preset", "quick", *options]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(list(map(str, command)), env=environment, **piped)


def bytes_of(workspace: Path) -> dict[str, str]:
    """Hash of every file of data sets, models and runs."""
    files = [p for part in ("datasets", "models", "runs") for p in (workspace / part).rglob("*") if p.is_file()]
    return {str(path.relative_to(workspace)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.timeout(600)
def test_two_workers_give_the_bytes_of_one_process(cluster: Cluster, tmp_path: Path) -> None:
    manifest = tmp_path / "smallest.yaml"
    manifest.write_text(STUDY)
    cluster.start_worker()
    cluster.start_worker()
    spread = started(manifest, tmp_path / "spread", cluster.environment, "--cluster", cluster.address)
    alone = started(manifest, tmp_path / "alone", cluster.environment, "--workers", "1")
    (_, said), (_, said_alone) = spread.communicate(), alone.communicate()
    assert spread.returncode == 0, said[-3000:]
    assert alone.returncode == 0, said_alone[-3000:]
    logs = [(cluster.folder / f"{number}.log").read_text() for number in (1, 2)]
    assert bytes_of(tmp_path / "spread") == bytes_of(tmp_path / "alone")
    assert {"report.html", "drift.json", "comparison.json"} <= {
        Path(name).name for name in bytes_of(tmp_path / "alone")
    }
    assert not [path for path in (tmp_path / "spread").rglob("*partial*") if path.name.startswith(".") is False]
    assert not [line for log in logs for line in log.splitlines() if "Traceback" in line]
    assert "explain" in said, "progress is shown"


def test_a_worker_of_another_version_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    manifest = tmp_path / "smallest.yaml"
    manifest.write_text(STUDY)
    cluster.start_worker(sys.executable, "-c", OLD_WORKER)
    refused = started(manifest, tmp_path / "workspace", cluster.environment, "--cluster", cluster.address)
    said = " ".join(refused.communicate()[1].split())
    assert refused.returncode == 1
    assert "InputError: Parts of the cluster differ from this process" in said
    assert "cxr-audit 0.0.1 instead of" in said
    assert not (tmp_path / "workspace" / "datasets").exists(), "nothing is worked on before"


def test_a_local_cluster_stands_the_battery(tmp_path: Path, prefect_environment: dict[str, str]) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    environment = {
        **prefect_environment,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "2",
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "2",
    }
    command = [sys.executable, str(Path(__file__).with_name("battery.py")), str(workspace)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["steps"] == [9, 0], "one step for each part that was not there, none the second time"
    assert found["done"] == list(range(10))
    assert found["processes"] == 2
    assert found["where"] == ["7 2", "8 2"], "each worker has a GPU of its own, and the threads that were asked for"
    assert found["failed"] == ["IntegrityError", "part 0 is damaged", str(workspace / "failing" / "000.txt")]
    assert found["once"] == ["0", "2"], "what a worker did not finish is done by another one"
    assert found["killed"][0] == "WorkerDiedError"
    assert "killed 3 workers" in found["killed"][1]
