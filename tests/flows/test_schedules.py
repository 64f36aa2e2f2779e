"""A whole day of a schedule, in a minute: served, fired, looked at, paused, resumed, changed, deleted, ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import filters
from prefect.client.schemas.objects import Artifact, FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import schedules
from flows.deployments import CRASHED, GPU, REPAIR
from flows.served import server_of
from tests.studies import audited_study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BIN = Path(sys.executable).parent
T = TypeVar("T")
EVERY = 10

SMALL = audited_study("scheduled", images=44, other=4)


def until(look: Callable[[], T], fits: Callable[[T], bool], seconds: float = 300) -> T:
    deadline = time.monotonic() + seconds
    while not fits(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    return found


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def environment(workspace: Path) -> dict[str, str]:
    """No Prefect server is named anywhere: commands find the one of the workspace."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**kept, "HOME": str(workspace), "PREFECT_WORKER_QUERY_SECONDS": "1", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def served(workspace: Path, environment: dict[str, str]) -> Iterator[str]:
    """`cxr-audit serve`; the address of its API. SIGTERM ends it and everything that it started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = workspace / "serve.log"
    command = [BIN / "cxr-audit", "serve", "--workspace", workspace, "--port", str(port), "--gpus", "2"]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream, start_new_session=True)
    try:
        until(log.read_text, lambda text: "Ctrl-C ends it" in text or process.poll() is not None)
        api = server_of(workspace)
        assert api == f"http://127.0.0.1:{port}/api", log.read_text()
        yield api
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        _, left = psutil.wait_procs(family, 5)
        assert left == []
        assert server_of(workspace) is None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        sys.stdout.write(log.read_text()[-5000:])  # shown when a test fails


@pytest.fixture(scope="module")
def client(served: str) -> Iterator[SyncPrefectClient]:
    with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_API_URL: served}):
        patch.setenv("PREFECT_API_URL", served)
        with get_client(sync_client=True) as client:
            yield client


def test_a_schedule_fires_and_is_managed(
    client: SyncPrefectClient, workspace: Path, environment: dict[str, str]
) -> None:
    manifest = workspace / "scheduled.yaml"
    manifest.write_text(SMALL)
    options = ["--workspace", workspace, "--preset", "quick", "--workers", "1"]
    command = [BIN / "cxr-audit", "schedule", manifest, "--interval", f"{EVERY}s", *options]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert answer.stdout == f"scheduled  created: {EVERY}s UTC\n", answer.stderr

    (found,) = until(schedules.schedules, lambda all_: all_[0].ended is not None, 600)
    assert (found.last, found.active) == ("AwaitingReview", True)
    (run,) = (workspace / "runs").iterdir()
    assert found.words == f"Run {run.name}: awaiting review"
    _has_left_artifacts(client, run)

    schedules.pause("scheduled")
    (paused,) = schedules.schedules()
    assert (paused.active, paused.next) == (False, None)
    before = len(_runs(client))
    time.sleep(EVERY + 3)
    assert len(_runs(client)) == before

    schedules.resume("scheduled")
    (again,) = until(schedules.schedules, lambda all_: all_[0].next is not None)
    assert again.active

    command = [BIN / "cxr-audit", "schedule", manifest, "--cron", "0 2 * * *", "--timezone", "Europe/Berlin", *options]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert answer.stdout == "scheduled  changed: 0 2 * * * Europe/Berlin\n", answer.stderr
    (changed,) = until(schedules.schedules, lambda all_: all_[0].next is not None)
    assert changed.when == "cron 0 2 * * * Europe/Berlin"
    assert changed.next is not None
    assert changed.next > datetime.now(UTC)

    listed = [BIN / "cxr-audit", "schedules", "list", "--json", "--workspace", workspace]
    answer = subprocess.run(listed, env=environment, capture_output=True, text=True, check=False)
    assert [each["name"] for each in json.loads(answer.stdout)] == ["scheduled"], answer.stderr

    schedules.delete("scheduled")
    assert schedules.schedules() == []


def test_the_server_knows_limits_and_automations(client: SyncPrefectClient) -> None:
    assert client.read_concurrency_limit_by_tag(GPU).concurrency_limit == 2
    assert [each.enabled for name in (REPAIR, CRASHED) for each in client.read_automations_by_name(name)] == [True] * 2


def test_forms_can_be_filled_in(client: SyncPrefectClient) -> None:
    """Every field of the typed parameters has a type and a description, which Prefect shows as a form."""
    form = client.read_deployment_by_name("benchmark/served").parameter_openapi_schema
    assert form is not None
    fields = form["definitions"]["BenchmarkRequest"]["properties"]
    assert {name for name, field in fields.items() if not field.get("description")} == set()
    assert {name for name, field in fields.items() if not {"type", "anyOf", "enum"} & field.keys()} == set()


def _runs(client: SyncPrefectClient) -> list[FlowRun]:
    """Runs of the schedule that began."""
    wanted = filters.FlowFilter(name=filters.FlowFilterName(any_=[schedules.FLOW]))
    began = filters.FlowRunFilter(start_time=filters.FlowRunFilterStartTime(is_null_=False))
    return client.read_flow_runs(flow_filter=wanted, flow_run_filter=began)


def _has_left_artifacts(client: SyncPrefectClient, run: Path) -> None:
    done = [each for each in _runs(client) if each.state is not None and each.state.name == "AwaitingReview"]
    first = min(done, key=lambda each: str(each.start_time))
    of_run = filters.ArtifactFilter(flow_run_id=filters.ArtifactFilterFlowRunId(any_=[first.id]))
    found: dict[str, Artifact] = {
        str(each.key): each for each in client.read_artifacts(artifact_filter=of_run) if each.type
    }
    assert (found["summary"].type, found["findings"].type) == ("markdown", "table")
    assert str(found["summary"].data).startswith("# awaiting review")
    ids = [each["id"] for each in json.loads((run / "findings.json").read_text())["findings"]]
    rows = found["findings"].data
    assert [row["id"] for row in (json.loads(rows) if isinstance(rows, str) else rows)] == ids
    assert run.name in str(found["report"].data)
    assert run.name in str(found["review"].data)
    stages = {key: each.data for key, each in found.items() if each.type == "progress"}
    assert {"progress-read-images", "progress-train"} <= stages.keys()
    assert set(stages.values()) == {100.0}
