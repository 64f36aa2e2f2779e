"""Notices reach a real server, or it is told why not; they never hold an audit up for long and come once."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from flows.notices import Notice, announce, ended, failed
from flows.notices.config import Webhook
from flows.notices.deliver import NotDelivered, deliver
from flows.notices.notice import KINDS
from flows.notices.sample import sample
from flows.results import RunResult
from pipeline.artifacts import write_json
from pipeline.errors import InputError


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses, and no Prefect server."""
    monkeypatch.setattr("flows.notices.deliver.PAUSES", (0.02, 0.02, 0.02))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("CXR_AUDIT_NOTICES", raising=False)


def send(url: str, **options: object) -> int:
    webhook = Webhook.model_validate({"name": "one", "url": url, **options})
    return deliver(sample("failed"), webhook, time.monotonic() + 20)


def configure(workspace: Path, text: str) -> None:
    workspace.mkdir(exist_ok=True)
    (workspace / "notices.yaml").write_text(text)


def test_json_is_what_its_schema_says_and_signed(receiver, monkeypatch) -> None:
    monkeypatch.setenv("HUB_SECRET", "s3cret")
    monkeypatch.setenv("HUB_TOKEN", "Bearer t")
    assert send(receiver.url, secret_from="HUB_SECRET", headers_from={"Authorization": "HUB_TOKEN"}) == 1
    path, headers, body = receiver.got[0]
    said = json.loads(body)
    jsonschema.validate(said, Notice.model_json_schema(by_alias=True))
    assert (path, said["schema"], said["notice"]) == ("/hook/secret-part", "cxr-audit.notice/1", "failed")
    assert (said["error"], said["stage"], headers["Authorization"]) == ("StorageError", "train", "Bearer t")
    signed = headers["X-Cxr-Audit-Timestamp"].encode() + b"." + body
    expected = hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest()
    assert headers["X-Cxr-Audit-Signature"] == f"sha256={expected}"


@pytest.mark.parametrize("kind", KINDS)
def test_slack_gets_text_and_blocks(receiver, kind) -> None:
    webhook = Webhook(name="chat", url=receiver.url, format="slack")
    deliver(sample(kind), webhook, time.monotonic() + 20)
    said = json.loads(receiver.got[0][2])
    assert set(said) == {"text", "blocks"}
    assert "data set sample, run 0000000000000000" in said["text"]
    assert {block["type"] for block in said["blocks"]} == {"section"}
    text = "".join(block["text"]["text"] for block in said["blocks"])
    assert "/audits/0000000000000000|Review page>" in text
    if kind == "confirmed-finding":
        assert "F01 position for a: 0.38 (0.28 to 0.49), N = 13" in text


def test_slack_control_characters_are_escaped(receiver) -> None:
    notice = failed("audit", "<!channel> & co", None, OSError(), None)
    deliver(notice, Webhook(name="chat", url=receiver.url, format="slack"), time.monotonic() + 5)
    assert b"<!channel>" not in receiver.got[0][2]
    assert b"&lt;!channel&gt; &amp; co" in receiver.got[0][2]


@pytest.mark.parametrize("trouble", [500, 503, 429, "close"])
def test_passing_trouble_is_tried_again_with_the_same_id(receiver, trouble) -> None:
    receiver.answers = [trouble, trouble]
    assert send(receiver.url) == 3
    assert len({headers["X-Cxr-Audit-Notice"] for _, headers, _ in receiver.got}) == 1


@pytest.mark.parametrize(("status", "attempts"), [(400, 1), (404, 1), (302, 1), (500, 4)])
def test_lasting_trouble_is_told(receiver, status, attempts) -> None:
    receiver.answers = [status] * 9
    with pytest.raises(NotDelivered, match=f"it answered {status}, attempt {attempts}"):
        send(receiver.url)
    assert len(receiver.got) == attempts


def test_a_wait_that_is_asked_for_beyond_the_deadline_is_not_waited(receiver) -> None:
    receiver.answers = [(429, {"Retry-After": "3600"})]
    began = time.monotonic()
    with pytest.raises(NotDelivered, match="it answered 429, attempt 1"):
        send(receiver.url)
    assert time.monotonic() - began < 2


def test_nobody_there(receiver) -> None:
    with pytest.raises(NotDelivered, match="ConnectError, attempt 4"):
        send("http://127.0.0.1:9/")  # the port of `discard`, which nothing serves


def test_redirects_stay_on_the_machine(receivers) -> None:
    first, other = receivers(), receivers()
    first.answers = [(307, {"Location": "/elsewhere"})]
    assert send(first.url) == 1
    assert [path for path, _, _ in first.got] == ["/hook/secret-part", "/elsewhere"]
    first.answers = [(308, {"Location": other.url})]
    with pytest.raises(NotDelivered, match="redirects to another machine") as told:
        send(first.url)
    assert other.got == []
    assert "secret-part" not in str(told.value)
    first.answers = [(307, {"Location": "/circle"})] * 9
    with pytest.raises(NotDelivered, match="in a circle"):
        send(first.url)


def test_slow_servers_do_not_hold_an_audit_up(receivers, tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setattr("flows.notices.telling.PATIENCE", 2.0)
    trickling, sleeping, good = receivers(), receivers(), receivers()
    trickling.answers, sleeping.answers = ["trickle"] * 9, ["slow"] * 9
    lines = "".join(
        f"  - {{name: {name}, url: '{each.url}', timeout: 20}}\n"
        for name, each in (("trickling", trickling), ("sleeping", sleeping), ("good", good))
    )
    configure(tmp_path, f"webhooks:\n{lines}")
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, "cxr_audit"):
        answers = announce(tmp_path, sample("failed"))
    assert time.monotonic() - began < 6
    assert answers["good"] is None
    assert "no answer within" in str(answers["trickling"])
    assert "no answer within" in str(answers["sleeping"])
    assert caplog.text.count("was not delivered to") == 2


def result(workspace: Path, confirmed: int = 1) -> RunResult:
    run = workspace / "runs" / "0123456789abcdef"
    effect = {"excess": {"mean": 0.4, "low": 0.3, "high": 0.5, "n": 13}}
    found = [
        {"id": f"F{n}", "kind": "position", "class": "a", "status": "confirmed", "effect": effect, "examples": ["x"]}
        for n in range(confirmed)
    ]
    write_json(run / "findings.json", {"findings": [*found, {**found[0], "status": "suspected"}]})
    counts = {"confirmed": confirmed, "suspected": 1}
    return RunResult(run=run, report=run, state="awaiting review", findings=counts, words=["secret"], worked=3)


def test_what_an_end_is_worth_and_once_only(receiver, receivers, tmp_path) -> None:
    failing = receivers()
    failing.answers = [400]
    configure(
        tmp_path,
        f"webhooks:\n  - {{name: all, url: '{receiver.url}'}}\n"
        f"  - {{name: picky, url: '{failing.url}', on: [confirmed-finding]}}\n",
    )

    def tell(end: RunResult) -> list[str]:
        before = len(receiver.got)
        for notice in ended("audit", "tiny", end):
            announce(tmp_path, notice)
        return [json.loads(body)["notice"] for _, _, body in receiver.got[before:]]

    assert tell(result(tmp_path)) == ["awaiting-review", "confirmed-finding"]
    assert len(failing.got) == 1  # and it refused
    said = json.loads(receiver.got[1][2])
    assert said["confirmed"] == [
        {"id": "F0", "kind": "position", "class": "a", "effect": {"mean": 0.4, "low": 0.3, "high": 0.5, "n": 13}}
    ]
    assert b"secret" not in receiver.got[1][2]
    assert tell(result(tmp_path)) == []
    assert len(failing.got) == 2  # who did not get it is told again
    assert tell(result(tmp_path, confirmed=2)) == ["awaiting-review", "confirmed-finding"]
    assert not (tmp_path / "runs" / "0123456789abcdef" / "notified").exists()


def test_every_failure_is_told(receiver, tmp_path) -> None:
    configure(tmp_path, f"webhooks: [{{name: all, url: '{receiver.url}', on: [failed, drift]}}]")
    for _ in range(2):
        announce(tmp_path, failed("audit", "tiny", "0" * 16, ValueError("Doe^John"), "ingest"))
    said = [json.loads(body) for _, _, body in receiver.got]
    assert [(each["notice"], each["error"], each["stage"]) for each in said] == [
        ("failed", "ValueError", "ingest"),
        ("failed", "ValueError", "ingest"),
    ]
    assert b"Doe" not in b"".join(body for _, _, body in receiver.got)


def test_drift_is_told_without_printed_words(receiver, tmp_path) -> None:
    configure(tmp_path, f"webhooks: [{{name: all, url: '{receiver.url}', on: [drift]}}]")
    end = result(tmp_path)
    rows = [
        {"about": "marks", "name": "position", "class": "a", "verdict": "shifted"},
        {"about": "text", "name": "word “Mustermann”", "class": "a", "verdict": "shifted"},
        {"about": "metric", "name": "auroc", "class": "a", "verdict": "no shift seen"},
    ]
    write_json(end.run / "drift.json", {"rows": rows, "baseline": {"run": "f" * 16, "kind": "accepted", "by": "ann"}})
    for _ in range(2):
        for notice in ended("nightly-audit", "tiny", end):
            announce(tmp_path, notice)
    (said,) = [json.loads(body) for _, _, body in receiver.got]
    assert (said["notice"], said["compared_with"]) == ("drift", "f" * 16)
    assert said["drift"] == [
        {"measure": "marks", "name": "position", "class": "a"},
        {"measure": "text", "name": None, "class": "a"},
    ]


def test_a_wrong_configuration_fails_no_audit(tmp_path, caplog) -> None:
    configure(tmp_path, "webhooks: 3")
    assert list(announce(tmp_path, sample("failed"))) == ["configuration"]
    assert "their configuration is wrong" in caplog.text


MISTAKES: dict[str, str] = {
    "webhooks:\n- name: a\n  url: http://elsewhere.example/x": r"2:\d+: webhooks\[0\]: url is not https",
    "webhooks:\n- {name: a}": r"needs either url or url_from",
    "webhooks:\n- name: a\n  url: https://x.y\n  on: [confirmd]": r"4:\d+: webhooks\[0\].on\[0\]: .*'awaiting-review'",
    "webhooks:\n- name: a\n  urll: https://x.y": r"3:3: webhooks\[0\].urll: unknown key. Did you mean 'url'",
    "webhooks:\n- {name: a, url: 'https://x.y'}\n- {name: a, url: 'https://x.y'}": "two webhooks have the same name",
    "webhooks:\n- {name: a, url: 'file:///etc/passwd'}": "is not the http or https address",
    "webhooks:\n- {name: a, url: 'https://x.y', secret_from: S, format: slack}": "signs `format: json` alone",
    "webhooks:\n- {name: a, url: 'https://x.y', timeout: 900}": r"webhooks\[0\].timeout: .*less than or equal to 20",
    "webhooks: [": "not valid YAML",
    "webhooks: []\nwebhooks: []": "stands in line 1 already",
    "webhooks:\n- {name: a, url: 'https://x.y', headers_from: {A: Bearer abc}}": "headers_from.A",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_named(tmp_path: Path, text: str) -> None:
    from flows.notices import read_notices

    configure(tmp_path, text)
    with pytest.raises(InputError, match=MISTAKES[text]):
        read_notices(tmp_path)


def test_where_secrets_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receivers: Callable) -> None:
    monkeypatch.setenv("CXR_AUDIT_NOTICES", str(tmp_path / "missing.yaml"))
    from flows.notices import read_notices

    with pytest.raises(InputError, match=r"missing.yaml: cannot be read"):
        read_notices(tmp_path)
    assert Webhook(name="a", url="https://hooks.example/T0/secret").shown == "https://hooks.example/…"
    by_name = Webhook(name="a", url_from="CHAT_URL")
    assert by_name.shown == "$CHAT_URL (not set)"
    with pytest.raises(InputError, match="CHAT_URL is not set"):
        by_name.address()
    monkeypatch.setenv("CHAT_URL", "http://hooks.example/secret")
    with pytest.raises(InputError, match="CHAT_URL holds no https address") as told:
        by_name.address()
    assert "secret" not in str(told.value)
    assert by_name.shown == "$CHAT_URL"
