"""Times, forms, deployments and progress of schedules, without a server."""

from __future__ import annotations

import json
import socket
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import yaml
from prefect import Flow
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.events import Event, Resource
from prefect.utilities.callables import parameter_schema

from flows import progress_artifacts, schedules
from flows.benchmark import BenchmarkRequest
from flows.deployments import POOL, SILENCE, crashed_when_silent, deployments
from flows.progress_artifacts import EVERY, ProgressArtifacts
from flows.request import AuditRequest
from flows.served import remembered, server_of
from flows.tasks.report import STATE_NAMES
from pipeline.errors import CxrAuditError, InputError

ROOT = Path(__file__).resolve().parents[2]


def test_times_are_read() -> None:
    cron = schedules.timing("0 2 * * *", None, "Europe/Berlin")
    assert isinstance(cron, CronSchedule)
    assert (cron.cron, cron.timezone) == ("0 2 * * *", "Europe/Berlin")
    every = schedules.timing(None, "90m", "UTC")
    assert isinstance(every, IntervalSchedule)
    assert every.interval == timedelta(minutes=90)


@pytest.mark.parametrize(
    ("cron", "interval", "timezone", "words"),
    [
        ("0 26 * * *", None, "UTC", "minute, hour"),
        ("at night", None, "UTC", "minute, hour"),
        ("0 2 * * *", None, "Mars", "IANA"),
        (None, None, "UTC", "one of --cron"),
        ("0 2 * * *", "1d", "UTC", "one of --cron"),
        (None, "0m", "UTC", "30m"),
        (None, "1 fortnight", "UTC", "30m"),
    ],
)
def test_wrong_times_are_refused(cron: str | None, interval: str | None, timezone: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        schedules.timing(cron, interval, timezone)


@pytest.mark.parametrize(
    "asked",
    [
        {"manifest": "nosuch"},
        {"manifest": "folder_example"},  # reads a folder, and none is given
        {"manifest": "folder_example", "data_root": Path("no/such/folder")},
    ],
)
def test_what_would_fail_every_night_is_refused(asked: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(CxrAuditError):
        schedules.check(AuditRequest(workspace=tmp_path, **asked))
    phantom = AuditRequest(workspace=tmp_path, manifest="phantom")
    assert schedules.check(phantom, ("confirmed",)) == "phantom"
    with pytest.raises(InputError, match="none is accepted"):
        schedules.check(phantom, ("confirmed", "drift"))


@pytest.mark.parametrize("request_type", [AuditRequest, BenchmarkRequest])
def test_every_field_of_a_form_is_described(request_type: Any) -> None:
    fields = request_type.model_json_schema()["properties"]
    assert {name for name, field in fields.items() if not field.get("description")} == set()
    assert {name for name, field in fields.items() if not {"type", "anyOf", "enum"} & field.keys()} == set()


def test_a_relative_workspace_is_the_starters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CXR_AUDIT_HOME", raising=False)
    assert AuditRequest(manifest="phantom").workspace == tmp_path / "workspace"


def test_the_checkouts_deployments_are_there() -> None:
    listed = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert [each["name"] for each in listed] == ["nightly-audit", "remediate", "benchmark"]
    for each in listed:
        module, name = each["entrypoint"].rsplit(".", 1)
        flow = getattr(import_module(module), name)
        assert isinstance(flow, Flow)
        assert flow.name == each["name"]
        assert each["work_pool"]["name"] == POOL
        flow.validate_parameters({"run": "r1"} if name == "remediate" else each["parameters"])
        assert parameter_schema(flow).properties.keys() == {*flow.fn.__annotations__} - {"return"}


def test_any_worker_can_run_what_is_served(tmp_path: Path) -> None:
    for each in deployments():
        module, name = str(each.entrypoint).rsplit(".", 1)
        assert getattr(import_module(module), name).name == each.flow_name
        assert each.work_pool_name == POOL


def test_whatever_a_flow_run_says_keeps_it_from_being_taken_for_crashed() -> None:
    trigger = crashed_when_silent().trigger
    assert trigger.within == SILENCE >= timedelta(seconds=90)
    for state in ("heartbeat", "Completed", "Failed", "Suspended", "GateFailed", *STATE_NAMES.values()):
        event = Event(
            event=f"prefect.flow-run.{state}", resource=Resource({"prefect.resource.id": "prefect.flow-run.1"})
        )
        assert any(event.event.startswith(expected.removesuffix("*")) for expected in trigger.expect)


def test_a_server_is_found_while_it_listens(tmp_path: Path) -> None:
    (tmp_path / ".prefect").mkdir()
    assert server_of(tmp_path) is None
    with socket.create_server(("127.0.0.1", 0)) as server:
        api = f"http://127.0.0.1:{server.getsockname()[1]}/api"
        with remembered(tmp_path, api):
            assert server_of(tmp_path) == api
        assert server_of(tmp_path) is None
        file = tmp_path / ".prefect" / "server.json"
        file.write_text(json.dumps({"host": "another machine", "api": api}))
        assert server_of(tmp_path) is None
    file.write_text(json.dumps({"host": socket.gethostname(), "api": api}))
    assert server_of(tmp_path) is None  # it was killed, and its file is still there
    file.write_text("{")
    assert server_of(tmp_path) is None


def test_progress_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[object, float, str]] = []
    clock = [100.0]

    def create(progress: float, key: str, description: str) -> UUID:
        told.append((key, progress, description))
        return uuid4()

    monkeypatch.setattr("prefect.artifacts.create_progress_artifact", create)
    monkeypatch.setattr(
        "prefect.artifacts.update_progress_artifact",
        lambda _, progress, description: told.append((0, progress, description)),
    )
    monkeypatch.setattr(progress_artifacts.time, "monotonic", lambda: clock[0])
    tell = ProgressArtifacts()
    tell("read marks (OCR)", 0, 4)
    tell("read marks (OCR)", 1, 4)
    clock[0] += EVERY
    tell("read marks (OCR)", 2, 4)
    tell("read marks (OCR)", 3, 4)
    tell("read marks (OCR)", 4, 4)
    assert told == [
        ("progress-read-marks-ocr", 0.0, "read marks (OCR): 0 of 4"),
        (0, 50.0, "read marks (OCR): 2 of 4"),
        (0, 100.0, "read marks (OCR): 4 of 4"),
    ]


def test_a_server_that_does_not_take_progress_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def create(*_: object, **__: object) -> UUID:
        asked.append(1)
        raise httpx.ConnectError("gone")

    monkeypatch.setattr("prefect.artifacts.create_progress_artifact", create)
    tell = ProgressArtifacts()
    tell("train", 0, 2)
    tell("train", 2, 2)
    assert len(asked) == 1
