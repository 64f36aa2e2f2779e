"""With a real Prefect server and served deployments: the page's start, the automation, the approval.

Stages are stubs (`stubbed.py`): what is tested is who starts what, with which parameters, and how it ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.deployments import CRASHED
from flows.review import deployed
from flows.review.announce import announce
from flows.review.jobs import Jobs
from pipeline.artifacts import write_json
from pipeline.errors import InputError
from pipeline.review.backend import Job
from tests.flows.conftest import prefect_server
from tests.flows.review import stubbed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

T = TypeVar("T")


def until(look: Callable[[], T], fits: Callable[[T], bool], seconds: float = 120) -> T:
    deadline = time.monotonic() + seconds
    while not fits(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


FORGETFUL = {
    "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "1",
    "PREFECT_SERVER_SERVICES_FOREMAN_DEPLOYMENT_LAST_POLLED_TIMEOUT_SECONDS": "10",
}
"""A deployment is taken for served until 10 s after a worker last asked for work, not 60 s."""


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that serves all deployments of a server of its own, which this process talks to; both end with it."""
    folder = tmp_path_factory.mktemp("served")
    log = folder / "log.txt"
    root = Path(__file__).resolve().parents[3]
    with ExitStack() as stack:
        environment, _ = stack.enter_context(prefect_server(folder, **FORGETFUL))
        environment |= {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_LOGGING_LEVEL": "INFO", "PYTHONPATH": str(root)}
        url = environment["PREFECT_API_URL"]
        stream = stack.enter_context(log.open("wb"))
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("PREFECT_API_URL", url)
        stack.enter_context(temporary_settings({PREFECT_API_URL: url}))
        runner = subprocess.Popen(
            [sys.executable, "-m", "tests.flows.review.stubbed"],
            env=environment,
            stdout=stream,
            stderr=stream,
            cwd=folder,
            start_new_session=True,
        )
        try:
            yield runner
        finally:
            with suppress(ProcessLookupError):
                os.killpg(runner.pid, signal.SIGTERM)
            try:
                runner.wait(60)  # it lets a flow run that is at work end first
            finally:
                sys.stdout.write(log.read_text()[-5000:])  # shown when a test fails


@pytest.fixture(scope="module")
def client(worker: subprocess.Popen[bytes]) -> Iterator[SyncPrefectClient]:
    """A client of the worker's server, once the worker is at work."""
    with get_client(sync_client=True) as client:
        until(lambda: client.read_automations_by_name(CRASHED), bool)  # registered last
        until(deployed.deployment, bool)
        yield client


def ended(run: Path) -> Job:
    return until(lambda: Jobs().job(run), lambda job: job.state in ("complete", "failed", "cancelled"))


def test_the_page_starts_the_deployment(client: SyncPrefectClient, tmp_path: Path) -> None:
    run = stubbed.empty_run(tmp_path, "r1")
    started = Jobs().start(run, "ann", "cpu")
    assert (started.by, started.how) == ("ann", "remediate/served")
    job = ended(run)
    assert (job.state, job.words, job.report) == ("complete", ("Repaired r1.",), True)
    # Prefect records tasks a moment later than flows.
    job = until(lambda: Jobs().job(run), lambda job: bool(job.stages) and job.stages[0].done == 1)
    assert [(s.stage, s.total) for s in job.stages] == [("train", 1)]
    (flow_run,) = [each for each in client.read_flow_runs() if each.parameters.get("run") == str(run)]
    assert flow_run.parameters["device"] == "cpu"


def test_what_went_wrong_is_told(client: SyncPrefectClient, tmp_path: Path) -> None:
    run = stubbed.empty_run(tmp_path, "full")
    Jobs().start(run, "ann")
    job = ended(run)
    assert (job.state, job.words) == ("failed", ("The disk is full: free some space.",))


def test_a_flow_run_is_cancelled(client: SyncPrefectClient, tmp_path: Path) -> None:
    run = stubbed.empty_run(tmp_path, "slow")
    Jobs().start(run, "ann")
    until(lambda: Jobs().job(run), lambda job: bool(job.stages))
    with pytest.raises(InputError, match="ann started a repair of this run that is at work"):
        Jobs().start(run, "bob")
    Jobs().cancel(run, "bob")
    assert ended(run).state == "cancelled"


def test_a_complete_review_starts_the_repair(client: SyncPrefectClient, tmp_path: Path) -> None:
    run = stubbed.empty_run(tmp_path, "announced")
    announce(run, "ann")

    def of_run() -> list[FlowRun]:
        return [each for each in client.read_flow_runs() if each.parameters.get("run") == str(run)]

    (started,) = until(of_run, lambda found: bool(found) and found[0].state is not None and found[0].state.is_final())
    assert started.name
    assert started.state is not None
    assert started.state.name == "Completed"
    assert client.read_flow(started.flow_id).name == "remediate"
    job = Jobs().job(run)  # the page shows what it did not start
    assert (job.state, job.by, job.words) == ("complete", "remediate/served", ("Repaired announced.",))


def test_an_approval_of_other_decisions_does_not_count(client: SyncPrefectClient, tmp_path: Path) -> None:
    deployment = client.read_deployment_by_name("audit-with-approval/served")
    request = {"manifest": "phantom", "workspace": str(tmp_path)}
    flow_run = client.create_flow_run_from_deployment(deployment.id, parameters={"request": request}).id
    run = tmp_path / "runs" / "approved"

    def waits(number: int) -> None:
        until(
            lambda: state_of(client, flow_run),
            lambda name: name in (f"Suspended approval-{number}", "Failed", "Crashed"),
        )
        assert state_of(client, flow_run) == f"Suspended approval-{number}"

    waits(1)
    write_json(run / "decided.json", "decided")  # reviewers were at work meanwhile
    refused = client.resume_flow_run(flow_run, run_input={"reviewer": "ann", "approve": "perhaps", "decisions": "none"})
    assert refused.status.value == "REJECT"  # by the server, which knows the form
    answer = {"reviewer": "ann", "approve": "yes", "comment": ""}
    assert client.resume_flow_run(flow_run, run_input={**answer, "decisions": "none"}).status.value == "ACCEPT"
    waits(2)
    assert client.resume_flow_run(flow_run, run_input={**answer, "decisions": "decided"}).status.value == "ACCEPT"
    until(lambda: state_of(client, flow_run), lambda name: name in ("Completed", "Failed", "Crashed"))
    assert state_of(client, flow_run) == "Completed"
    links = {a.key for a in client.read_artifacts() if a.flow_run_id == flow_run}
    assert {"review", "report", "summary"} <= links


def test_a_worker_that_went_is_not_waited_for(
    client: SyncPrefectClient, worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    run = stubbed.empty_run(tmp_path, "left")
    os.killpg(worker.pid, signal.SIGKILL)
    assert Jobs().start(run, "ann").how == "remediate/served", "that it went is known a little later"
    job = until(lambda: Jobs().job(run), lambda job: bool(job.words))
    assert job.state == "waiting"
    assert job.words[0].startswith("No worker asks Prefect for work at present.")
    assert deployed.deployment() is None, "the next repair is a process of this machine"
    assert Jobs().cancel(run, "ann").state == "cancelled"


def state_of(client: SyncPrefectClient, flow_run: UUID) -> str:
    """Name of a flow run's state, with the key of what it waits for."""
    state = client.read_flow_run(flow_run).state
    assert state is not None
    key = state.state_details.pause_key
    return f"{state.name} {key}" if state.is_paused() else str(state.name)


def test_without_a_server_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(InputError, match="set PREFECT_API_URL"):
        announce(tmp_path / "runs" / "r1", "ann")
