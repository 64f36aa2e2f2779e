"""Two workers give the bytes of one process, also where workers and the scheduler are killed at work."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributed import Client, LocalCluster

from flows.cluster import dask as on_dask
from tests.faults.conftest import Command, content, half_written
from tests.faults.test_killed import MOMENTS
from tests.flows.cluster.test_dask import Cluster

pytestmark = pytest.mark.slow


@pytest.fixture
def clusters(tmp_path: Path, command: Command) -> Iterator[list[Cluster]]:
    """Two, each with a scheduler and two workers."""
    made = []
    try:
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            made.append(Cluster(tmp_path / name, {**command.environment, "PYTHONPATH": os.pathsep.join(_paths())}))
            made[-1].start_scheduler()
            made[-1].start_worker()
            made[-1].start_worker()
        yield made
    finally:
        for each in made:
            each.stop()


@pytest.mark.timeout(600)
def test_two_workers_give_the_bytes_of_one_process(
    tmp_path: Path, calm: Path, command: Command, clusters: list[Cluster]
) -> None:
    cluster = clusters[0]
    ended = command.complete(tmp_path / "ws", "--cluster", cluster.address)
    assert content(tmp_path / "ws") == content(calm)
    assert {"report.html", "drift.json", "comparison.json"} <= {Path(name).name for name in content(calm)}
    assert half_written(tmp_path / "ws") == []
    logs = [(cluster.folder / f"{number}.log").read_text() for number in (1, 2)]
    assert not [line for log in logs for line in log.splitlines() if "Traceback" in line]
    assert "explain" in ended.said, "progress is shown"


@pytest.mark.timeout(600)
def test_a_scheduler_and_then_a_worker_are_killed(
    tmp_path: Path, calm: Path, command: Command, clusters: list[Cluster]
) -> None:
    workspace = tmp_path / "ws"
    shutil.copytree(calm, workspace, ignore=shutil.ignore_patterns("runs"))
    first, second = clusters
    process = command.start(workspace, "--cluster", first.address)
    command.wait_for(MOMENTS["detect"], workspace, process)
    os.killpg(first.processes[0].pid, signal.SIGKILL)
    ended = command.end(process)
    assert ended.code == 1, ended.err[-3000:]
    assert re.search(r"ClusterLostError: The Dask cluster is lost: its scheduler does not answer", ended.said)
    process = command.start(workspace, "--cluster", second.address)
    command.wait_for(MOMENTS["explain"], workspace, process)
    os.killpg(second.processes[1].pid, signal.SIGKILL)
    ended = command.end(process)
    assert ended.code == 0, ended.err[-3000:]
    assert content(workspace) == content(calm)
    assert half_written(workspace) == []


def test_a_cluster_without_a_worker_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(on_dask, "LONELY_SECONDS", 0.5)
    monkeypatch.setattr(on_dask, "_LOOK", 0.1)
    with LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster, Client(cluster) as client:
        spread = on_dask.OnCluster(SimpleNamespace(client=client), {}, 1)  # type: ignore[arg-type]
        with pytest.raises(on_dask.ClusterLostError, match="no worker has been there for"):
            spread._ended([client.submit(abs, -1)], gpus=False)
    assert "waiting" in caplog.text


def test_a_scheduler_that_dask_has_given_up_is_named(tmp_path: Path) -> None:
    part = SimpleNamespace(target=tmp_path / "part", network=False)
    with LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster, Client(cluster) as client:
        runner = SimpleNamespace(client=client, submit=lambda task, parameters: client.submit(abs, -1))
        client.close()
        with pytest.raises(on_dask.ClusterLostError, match="its scheduler does not answer any more"):
            list(on_dask.OnCluster(runner, {}, 1)([part]))  # type: ignore[arg-type,list-item]


def _paths() -> list[str]:
    root = str(Path(__file__).resolve().parents[2])
    return [root, *filter(None, [os.environ.get("PYTHONPATH")])]
