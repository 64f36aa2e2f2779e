"""A scheduled audit that does not pass is told once, by condition, and with nothing that is printed on an image."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from prefect.states import Completed, State

from flows import nightly
from flows.gate import Condition
from flows.notices import Notice, not_passed
from flows.notices.formats import slack
from flows.request import AuditRequest
from flows.results import RunResult
from tests.receiver import Receiver


@pytest.fixture
def run(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An audit with one confirmed finding, which a schedule's flow finds done; a receiver of `failed` alone."""
    for name in ("PREFECT_API_URL", "CXR_AUDIT_NOTICES"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "notices.yaml").write_text(f"webhooks: [{{name: hub, url: '{receiver.url}', on: [failed]}}]")
    run = tmp_path / "runs" / ("0" * 16)
    run.mkdir(parents=True)
    title = "The classifier reads other words (“MUSTERMANN”) as evidence for opacity"
    finding = {"id": "F01", "kind": "word", "class": "opacity", "status": "confirmed", "title": title}
    (run / "findings.json").write_text(json.dumps({"findings": [finding]}))
    (run / "run.json").write_text(json.dumps({"request": {"dataset": "phantom/v1"}}))
    end = RunResult(run=run, report=run, state="awaiting review", findings={"confirmed": 1}, words=[], worked=0)
    monkeypatch.setattr(nightly, "audit", SimpleNamespace(fn=lambda _: Completed(data=end)))
    return run


def ended(run: Path, *fail_on: Condition) -> State[RunResult]:
    return nightly.nightly_audit.fn(AuditRequest(workspace=run.parents[1], manifest="phantom"), fail_on)  # type: ignore[return-value]


def test_one_notice_says_which_condition_failed(run: Path, receiver: Receiver) -> None:
    state = ended(run, "suspected", "confirmed")
    assert (state.name, state.is_failed()) == ("GateFailed", True)
    ((_, _, body),) = receiver.got
    said = Notice.model_validate_json(body)
    assert (said.notice, said.flow, said.dataset, said.run) == ("failed", "nightly-audit", "phantom", run.name)
    assert (said.error, said.stage, said.conditions) == ("GateFailed", None, {"confirmed": 1, "suspected": 1})
    assert said.link is not None
    assert "MUSTERMANN" not in f"{state.message}{body.decode()}"


def test_an_audit_that_passes_is_no_failure(run: Path, receiver: Receiver) -> None:
    assert ended(run).is_completed()
    assert receiver.got == []


def test_people_read_it_in_one_sentence() -> None:
    notice = not_passed("nightly-audit", "ward", "0" * 16, {"confirmed": 2, "metric-drop": 1})
    assert slack(notice)["text"] == (
        "cxr-audit: the audit of nightly-audit is done and does not pass: confirmed (2 checks), metric-drop (1 check) "
        f"(data set ward, run {'0' * 16})"
    )
