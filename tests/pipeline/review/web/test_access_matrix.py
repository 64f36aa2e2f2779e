"""Every address of the server against everybody who may ask. A route that is in no table here fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from pipeline.review.store import open_store
from pipeline.review.store.register import register
from pipeline.review.store.tables import Batch, LogEntry
from pipeline.review.values import ROLES, Actor, Role
from tests.pipeline.review.entering import client_of, page_app
from tests.pipeline.review.study import RUN, Study, image_id
from tests.pipeline.review.web.api.fakes import FakeBackend

EVERYBODY = ("anonymous", *ROLES)
"""From the least to the most that one may do."""

OPERATIONS = {
    "POST /api/login": "anonymous",
    "POST /api/logout": "viewer",
    "GET /api/log": "admin",
    "GET /api/me": "viewer",
    "GET /api/audits": "viewer",
    "GET /api/audits/{run}": "viewer",
    "PATCH /api/audits/{run}": "admin",
    "GET /api/audits/{run}/findings": "viewer",
    "GET /api/audits/{run}/findings/{finding}": "viewer",
    "GET /api/audits/{run}/facets": "viewer",
    "GET /api/audits/{run}/images": "viewer",
    "GET /api/audits/{run}/next": "viewer",
    "GET /api/audits/{run}/images/{image}": "viewer",
    "GET /api/audits/{run}/images/{image}/history": "viewer",
    "POST /api/audits/{run}/images/{image}/tag": "reviewer",
    "GET /api/audits/{run}/images/{image}/pixels": "viewer",
    "GET /api/audits/{run}/images/{image}/thumbnail": "viewer",
    "GET /api/audits/{run}/images/{image}/saliency/{method}": "viewer",
    "GET /api/audits/{run}/images/{image}/lungs": "viewer",
    "GET /api/audits/{run}/images/{image}/cleansed": "viewer",
    "POST /api/audits/{run}/decisions": "reviewer",
    "POST /api/audits/{run}/decisions/reach": "reviewer",
    "POST /api/audits/{run}/undo": "reviewer",
    "POST /api/audits/{run}/redo": "reviewer",
    "POST /api/audits/{run}/regions": "reviewer",
    "PATCH /api/audits/{run}/regions/{region}": "reviewer",
    "POST /api/audits/{run}/regions/{region}/delete": "reviewer",
    "GET /api/audits/{run}/agreement": "viewer",
    "GET /api/audits/{run}/conflicts": "viewer",
    "GET /api/audits/{run}/plan": "viewer",
    "GET /api/audits/{run}/repair": "viewer",
    "POST /api/audits/{run}/repair": "admin",
    "POST /api/audits/{run}/repair/cancel": "admin",
    "GET /api/audits/{run}/export/decisions.csv": "viewer",
    "GET /api/audits/{run}/export/decisions.json": "viewer",
    "GET /api/audits/{run}/export/regions.coco.json": "viewer",
}
"""Operation of the API -> the least that may do it."""

PAGES = {
    "GET /": "viewer",
    "GET /audits/{run}": "viewer",
    "GET /audits/{run}/findings/{finding}": "viewer",
    "GET /audits/{run}/gallery": "viewer",
    "GET /audits/{run}/images/{image}": "viewer",
    "GET /audits/{run}/agreement": "viewer",
    "GET /audits/{run}/plan": "viewer",
    "GET /audits/{run}/report": "viewer",
    "GET /log": "admin",
    "GET /login": "anonymous",
    "GET /static": "anonymous",
    "GET /api/openapi.json": "viewer",
}
"""The other addresses."""

ABSENT = {"GET /api/audits/{run}/images/{image}/lungs"}
"""Found nothing in the made-up audit, whoever asks."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


@pytest.fixture(scope="module")
def app(_phantom: Study, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """A server with an audit and its report. No test changes what another sees."""
    store = open_store(tmp_path_factory.mktemp("matrix") / "review.sqlite")
    register(store, _phantom.run, _phantom.dataset)
    report = _phantom.run / "report.html"
    report.write_text("<p>Report</p>", encoding="utf-8")
    yield page_app(store, _phantom.workspace, backend=cast(Any, FakeBackend(_phantom.dataset)))
    report.unlink()
    store.dispose()


@pytest.fixture(scope="module")
def region(_phantom: Study) -> str:
    return str(_phantom.regions["region_id"].iloc[0])


def person(app: FastAPI, who: str) -> TestClient:
    """A browser of somebody with this role, or of nobody."""
    return client_of(app, None if who == "anonymous" else Actor(name=who, role=cast(Role, who)))


def ask(client: TestClient, operation: str, region: str, **more: Any) -> Any:
    """Do an operation on what is there. Those that change something get a body that says nothing: it is looked at only
    after the role, so whoever may do it is told 422, and nothing changes.
    """
    method, path = operation.split(" ")
    names = {"run": RUN, "finding": "F01", "image": image_id(RUN, 0), "region": region, "method": "grad-cam"}
    address = path.format(**names) if path != "/static" else "/static/base.css"
    query = {"rule": "in-force"} if path.endswith("/cleansed") else None
    body = None if method == "GET" else {"nothing": 0}
    return client.request(method, address, params=query, json=body, **more)


def test_every_address_is_in_a_table(app: FastAPI) -> None:
    documented = {f"{method.upper()} {path}" for path, item in app.openapi()["paths"].items() for method in item}
    assert documented == set(OPERATIONS)
    found = set()
    for route in iter_route_contexts(app.routes):
        methods = (getattr(route, "methods", None) or {"GET"}) - {"HEAD"}
        found |= {f"{method} {getattr(route, 'path', None) or route.original_route.path}" for method in methods}
    assert found == set(OPERATIONS) | set(PAGES)


@pytest.mark.parametrize("operation", OPERATIONS | PAGES)
def test_each_role_does_what_it_may_and_no_more(app: FastAPI, region: str, operation: str) -> None:
    least = (OPERATIONS | PAGES)[operation]
    page = " /api/" not in operation
    expected, told = {}, {}
    for who in EVERYBODY:
        answer = ask(person(app, who), operation, region)
        told[who] = answer.status_code
        if EVERYBODY.index(who) >= EVERYBODY.index(least):
            expected[who] = _done(operation, who)
        else:
            expected[who] = 403 if who != "anonymous" else 303 if page else 401
        if told[who] == 303 and who == "anonymous":
            assert answer.headers["location"].startswith("/login?next=%2F")
    assert told == expected


def _done(operation: str, who: str) -> int:
    if operation == "GET /login":
        return 200 if who == "anonymous" else 303
    if operation.startswith("GET"):
        return 404 if operation in ABSENT else 200
    return {"POST /api/logout": 204, "POST /api/audits/{run}/repair/cancel": 400}.get(operation, 422)


def test_viewers_compute_no_saliency(app: FastAPI) -> None:
    address = f"/api/audits/{RUN}/images/{image_id(RUN, 20)}/saliency/lrp?compute=true"
    assert [person(app, who).get(address).status_code for who in EVERYBODY] == [401, 403, 200, 200]


@pytest.mark.parametrize("who", ["anonymous", "admin"])
def test_every_answer_tells_browsers_what_to_allow(app: FastAPI, region: str, who: str) -> None:
    for operation in [*OPERATIONS, *PAGES, "GET /nothing", "GET /api/nothing", "DELETE /api/audits", "POST /"]:
        answer = ask(person(app, who), operation, region)
        report = operation == "GET /audits/{run}/report" and who == "admin"
        assert answer.headers.get_list("content-security-policy") == [REPORT_POLICY if report else POLICY], operation
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, operation


def test_only_what_never_changes_is_kept_by_browsers(app: FastAPI, region: str) -> None:
    kept = {}
    for operation in [*OPERATIONS, *PAGES]:
        answer = ask(person(app, "admin"), operation, region)
        if answer.headers["cache-control"] != "no-store":
            kept[operation.rpartition("/")[2]] = answer.headers["cache-control"]
    forever = "private, max-age=31536000, immutable"
    assert kept == {
        "pixels": forever,
        "thumbnail": forever,
        "{method}": "private, no-cache",
        "static": "no-cache",
    }


WRITING = [each for each in OPERATIONS if not each.startswith("GET") and each != "POST /api/login"]


@pytest.mark.parametrize("operation", [*WRITING, "PUT /api/me", "DELETE /api/audits/{run}", "POST /"])
def test_nothing_is_changed_without_the_sessions_own_token(app: FastAPI, region: str, operation: str) -> None:
    def rows() -> list[int]:
        with app.state.here.store.reading() as session:
            return [session.scalar(select(func.count()).select_from(table)) or 0 for table in (Batch, LogEntry)]

    client, before = person(app, "admin"), rows()
    good, others = client.headers.pop("X-CSRF-Token"), person(app, "admin").headers["X-CSRF-Token"]
    for token in (None, "", "x", good[:-1], good.swapcase(), others, "ü".encode()):
        answer = ask(client, operation, region, headers={} if token is None else {"X-CSRF-Token": token})
        assert answer.status_code == 403, token
        assert "X-CSRF-Token" in answer.text
    assert rows() == before
    assert client.get("/api/me").headers["X-CSRF-Token"] == good
    assert ask(client, operation, region, headers={"X-CSRF-Token": good}).status_code != 403


def test_pages_have_no_script_or_style_of_their_own(app: FastAPI, region: str) -> None:
    inline = re.compile(
        r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*(\ssrc=|type=\"application/json\"))", re.I
    )
    for operation in PAGES:
        answer = ask(person(app, "admin"), operation, region)
        if answer.headers.get("content-type", "").startswith("text/html") and "report" not in operation:
            assert not inline.search(answer.text), operation
