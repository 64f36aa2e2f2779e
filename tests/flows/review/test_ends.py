"""How flows end in Prefect: the name of the state, the links, and the result that the caller gets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from flows.results import RunResult, RunState
from flows.review import address
from flows.review.address import review_url
from flows.tasks.report import publish
from pipeline.artifacts import write_json


@pytest.fixture(scope="module")
def _prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A server of this file's own; without heartbeats, which cost a second a flow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        patch.delenv("PREFECT_API_URL", raising=False)
        with (
            temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
            prefect_test_harness(server_startup_timeout=120),
        ):
            yield


@flow(name="ending")
def ending(run: Path, state: RunState) -> RunResult:
    """Ends as `audit` and `remediate` do."""
    return publish(run, state, ["One sentence.", "Another."], 3)


@pytest.mark.slow
@pytest.mark.usefixtures("_prefect")
@pytest.mark.parametrize(
    ("state", "name", "links"),
    [
        ("awaiting review", "AwaitingReview", {"report", "review"}),
        ("complete", "Completed", {"report"}),
        ("nothing to repair", "NothingToRepair", {"report"}),
    ],
)
def test_the_state_says_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: RunState, name: str, links: set[str]
) -> None:
    monkeypatch.setenv(address.ENVIRONMENT, "https://review.example.org/")
    finding = {"id": "F01", "kind": "corner", "status": "confirmed"}
    write_json(tmp_path / "findings.json", {"findings": [finding]})
    result = ending(tmp_path, state)
    assert isinstance(result, RunResult)
    assert (result.state, result.worked, result.findings) == (state, 3, {"confirmed": 1})

    with get_client(sync_client=True) as client:
        ended = client.read_flow_runs(limit=1, sort="START_TIME_DESC")[0]  # type: ignore[arg-type]
        artifacts = {a.key: a for a in client.read_artifacts() if a.key and a.flow_run_id == ended.id}
    assert ended.state is not None
    assert (ended.state.type, ended.state.name) == (StateType.COMPLETED, name)
    assert set(artifacts) == links | {"summary", "findings"}
    assert (tmp_path / "report.html").as_uri() in str(artifacts["report"].data)
    if "review" in links:
        assert f"https://review.example.org/audits/{tmp_path.name}" in str(artifacts["review"].data)


def test_the_address_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(address.ENVIRONMENT, raising=False)
    assert review_url("r1") == "http://127.0.0.1:8765/audits/r1"
