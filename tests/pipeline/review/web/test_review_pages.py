"""The pages as the server sends them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from pipeline.review.store import Store
from pipeline.review.store.register import register
from pipeline.review.values import AuditView
from pipeline.review.web.access.config import AccessConfig
from pipeline.review.web.access.links import Links
from pipeline.review.web.app import create_app
from pipeline.review.web.cards import tables
from pipeline.review.web.next_step import next_step
from tests.pipeline.review.study import IMAGES, RUN, Study
from tests.pipeline.review.web.api.fakes import FakeBackend

AUDIT = f"/audits/{RUN}"


@pytest.fixture
def client(review_workspace: Study, store: Store) -> Iterator[TestClient]:
    register(store, review_workspace.run, review_workspace.dataset)
    links = Links("http://127.0.0.1:80", announce=lambda link: None)
    access = AccessConfig.local("Dr. Reader", links, port=80)
    app = create_app(store, review_workspace.workspace, FakeBackend(review_workspace.dataset), access)
    with TestClient(app, base_url="http://127.0.0.1:80") as opened:
        opened.get(links.current.partition(":80")[2])
        yield opened


def _text(client: TestClient, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_home_names_the_audit_its_counts_and_what_to_do_next(client: TestClient):
    text = _text(client, "/")
    assert f"0 of {IMAGES} images decided" in text
    assert re.search(rf'href="{AUDIT}">Decide \d+ findings', text)


@pytest.mark.parametrize("rest", ["", "/gallery", "/agreement", "/plan", "/findings/F01"])
def test_every_page_carries_its_data_and_the_csrf_token(client: TestClient, rest: str):
    text = _text(client, f"{AUDIT}{rest}")
    assert re.search(r'name="csrf-token" content="[\w-]{20,}"', text)
    for data in re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S):
        assert json.loads(data)["run"] == RUN


def test_an_unknown_audit_finding_or_report_is_a_page_that_says_so(client: TestClient):
    for address in ("/audits/nothing", f"{AUDIT}/findings/F99", f"{AUDIT}/report"):
        answer = client.get(address)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_the_report_runs_nothing(client: TestClient, review_workspace: Study):
    (review_workspace.run / "report.html").write_text("<p>Report</p>", encoding="utf-8")
    answer = client.get(f"{AUDIT}/report")
    assert answer.text == "<p>Report</p>"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


def test_titles_from_artifacts_are_text_not_markup(client: TestClient, review_workspace: Study, store: Store):
    path = review_workspace.run / "findings.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    found["findings"][0]["title"] = "</script><script>alert(1)</script>"
    path.write_text(json.dumps(found), encoding="utf-8")
    register(store, review_workspace.run, review_workspace.dataset)
    for rest in ("", "/gallery"):
        assert "<script>alert" not in _text(client, f"{AUDIT}{rest}")


def test_the_gallery_starts_with_the_filters_of_its_address(client: TestClient):
    text = _text(client, f"{AUDIT}/gallery?kind=arrow&sort=row&score_min=0.5")
    assert '<option value="arrow" selected>' in text
    assert re.search(r'<option value="row" selected>', text)
    assert 'value="0.5"' in text


@pytest.mark.parametrize(
    ("change", "address"),
    [
        ({"state": "repairing"}, "/plan"),
        ({"conflicts": 2}, "/agreement"),
        ({"findings_open": 3}, ""),
        ({"open": 5}, "/gallery?status=open"),
        ({"state": "complete"}, "/report"),
        ({"state": "reviewed"}, "/plan"),
    ],
)
def test_the_next_step_is_what_others_wait_for(client: TestClient, change: dict[str, object], address: str):
    [audit] = client.get("/api/audits").json()
    quiet = {"state": "reviewed", "conflicts": 0, "findings_open": 0, "open": 0}
    assert next_step(AuditView.model_validate(audit | quiet | change)).address == f"{AUDIT}{address}"


def test_tables_leave_out_what_was_not_measured():
    effect = {
        "excess": {"mean": 0.1, "low": 0.0, "high": 0.2, "n": 9},
        "q": 0.01,
        "available": 12,
        "stopped": "all tested",
    }
    [table] = tables({"effect": effect, "transplant": None, "texts": [], "saliency": {}})
    [row] = table.rows
    assert row == ("removed where it is", "0.100 (0.000 to 0.200), N = 9", "", "", "0.01", "12", "all tested")
