"""Real schedulers and workers: workers of another version are refused, and what a local cluster has to stand."""

from __future__ import annotations

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

from tests.studies import phantom_study

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.slow

STUDY = phantom_study("smallest", images=8, other_source_images=0, size=96)

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
