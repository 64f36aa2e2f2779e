"""What other sites, other names, strange paths and large requests meet."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pipeline.review.store import Store
from pipeline.review.web.access.config import AccessConfig, host_name
from pipeline.review.web.access.headers import CONTENT_SECURITY_POLICY
from pipeline.review.web.access.strangers import LARGEST_BODY
from tests.pipeline.review.entering import client_of, page_app
from tests.pipeline.review.study import RUN, Study

from .conftest import SignIn
from .test_roles import NAMES, PAGES, RULES

SETTINGS = f"/api/audits/{RUN}"


# ---------------------------------------------------------------- headers


def test_every_answer_is_guarded(as_: SignIn) -> None:
    client, nobody = as_("ada"), as_(None)
    client._transport.raise_server_exceptions = False  # type: ignore[attr-defined]
    reads = [rule.split(" ")[1] for rule in RULES if rule.startswith("GET ")]
    for path in [*reads, *PAGES, "/nothing", "/api/nothing", "/static/base.css", "/static/nothing"]:
        for answer in (client.get(path.format(**NAMES)), nobody.get(path.format(**NAMES))):
            policy = answer.headers["content-security-policy"]
            if answer.status_code == 200 and path.endswith("/report"):
                assert "sandbox" in policy
                assert "script-src" not in policy
            else:
                assert policy == CONTENT_SECURITY_POLICY, path
            assert answer.headers["x-content-type-options"] == "nosniff", path
            assert answer.headers["x-frame-options"] == "DENY", path
            assert answer.headers["referrer-policy"] in ("same-origin", "no-referrer"), path
            assert answer.headers["cross-origin-opener-policy"] == "same-origin", path
            assert answer.headers["cross-origin-resource-policy"] == "same-origin", path
            assert "camera=()" in answer.headers["permissions-policy"], path
            assert "cache-control" in answer.headers, path
            assert "public" not in answer.headers["cache-control"], path
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert client.get("/").headers["cache-control"] == "no-store"
    assert client.get("/api/audits").headers["cache-control"] == "no-store"


def test_an_unexpected_error_says_nothing_and_is_guarded(
    as_: SignIn, monkeypatch: pytest.MonkeyPatch, review_workspace: Study
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(f"secret {review_workspace.workspace}")

    monkeypatch.setattr("pipeline.review.web.api.audits.audit_views", fail)
    client = as_("ada")
    client._transport.raise_server_exceptions = False  # type: ignore[attr-defined]
    answer = client.get("/api/audits")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY


def test_a_broken_run_does_not_show_where_it_lies(as_: SignIn, review_workspace: Study) -> None:
    (review_workspace.run / "run.json").write_text("{")
    for path in ("/", f"/audits/{RUN}", f"/api/audits/{RUN}"):
        assert str(review_workspace.workspace) not in as_("ada").get(path).text


# ---------------------------------------------------------------- names


OTHER_NAMES = [
    "evil.example",
    "testserver.evil.example",
    "",
    "127.0.0.1:80/static/",
    "testserver/static/",
    "testserver#/static/",
    "testserver?/static/",
    "user@testserver",
    "169.254.169.254",
    "[::2]",
]


def test_other_names_are_turned_away(as_: SignIn) -> None:
    client = as_("ada")
    for host in OTHER_NAMES:
        answer = client.get("/api/audits", headers={"host": host})
        assert answer.status_code == 421, host
        assert RUN not in answer.text, host


def test_own_names_are_known(as_: SignIn) -> None:
    client = as_("ada")
    for host in ("testserver", "TESTSERVER:8765", "localhost:1", "127.0.0.1", "[::1]:8765"):
        assert client.get("/api/audits", headers={"host": host}).status_code == 200, host


def test_numbers_are_accepted_where_every_address_is_served() -> None:
    everywhere = AccessConfig.accounts(frozenset({"here"}), port=1, secure=False, any_address=True)
    assert everywhere.knows("192.168.1.5:8765")
    assert everywhere.knows("[fe80::1]:8765")
    assert not everywhere.knows("evil.example:8765")
    assert host_name("[::1]:80") == "::1"


def test_no_host_header_opens_a_closed_page(as_: SignIn) -> None:
    for host in ("127.0.0.1:80/static/", "localhost/login?", "testserver/api/login#"):
        assert as_(None).get("/api/audits", headers={"host": host}).status_code == 421


# ---------------------------------------------------------------- other sites


def test_what_changes_something_needs_the_sessions_token(as_: SignIn) -> None:
    client = as_("ada")
    for token in ("", "wrong", as_("ada").headers["X-CSRF-Token"]):
        answer = client.patch(SETTINGS, json={"blind": False}, headers={"X-CSRF-Token": token})
        assert answer.status_code == 403
    del client.headers["X-CSRF-Token"]
    assert client.patch(SETTINGS, json={"blind": False}).status_code == 403
    assert client.get(SETTINGS).json()["blind"] is True


def test_no_route_changes_anything_without_a_token(as_: SignIn) -> None:
    client = as_("ada")
    del client.headers["X-CSRF-Token"]
    for rule, least in RULES.items():
        method, path = rule.split(" ")
        if least is not None and method != "GET":
            assert client.request(method, path.format(**NAMES)).status_code == 403, rule


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://testserver", "http://testserver:81"])
def test_changes_from_another_origin_are_refused_even_with_the_token(as_: SignIn, origin: str) -> None:
    client = as_("ada")
    assert client.patch(SETTINGS, json={"blind": False}, headers={"origin": origin}).status_code == 403
    assert client.post("/api/login", json={"name": "a", "password": "b"}, headers={"origin": origin}).status_code == 403


def test_changes_from_the_own_origin_are_made_and_logged(as_: SignIn) -> None:
    client = as_("ada")
    answer = client.patch(SETTINGS, json={"blind": False}, headers={"origin": "http://testserver"})
    assert answer.status_code == 200
    newest = client.get("/api/log").json()[0]
    assert (newest["user"], newest["action"], newest["run"]) == ("ada", "settings", RUN)
    assert newest["detail"] == {"blind": False}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_embed_nothing(as_: SignIn, site: str) -> None:
    embedded = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
    framed = {"sec-fetch-site": site, "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
    for headers in (embedded, framed):
        assert as_("ada").get("/api/audits", headers=headers).status_code == 403
        assert as_("ada").get("/", headers=headers).status_code == 403


def test_a_link_from_another_site_finds_the_session(as_: SignIn) -> None:
    """The browser leaves a strict cookie out once; our own answer makes it ask again, with it."""
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    answer = as_(None).get(f"/audits/{RUN}", headers=followed)
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0"' in answer.text
    assert as_("ada").get(f"/audits/{RUN}", headers=followed).status_code == 200
    again = as_(None).get(f"/audits/{RUN}", headers=followed | {"sec-fetch-site": "same-origin"})
    assert again.status_code == 303


# ---------------------------------------------------------------- paths and sizes


STRANGE_PATHS = [
    "/static/../app.py",
    "/static/%2e%2e/app.py",
    "/static/..%2fapp.py",
    "/static//etc/passwd",
    "/static/%00",
    "/static/viewer",
    "/audits/../review.sqlite",
    "/audits/%2e%2e/report",
    "/audits/..%2f..%2fetc/report",
    "/audits/%2e%2e%2f/gallery",
    f"/audits/{RUN}%2f..%2f{RUN}/report",
    "/api/audits/%2e%2e/images",
    "/api/audits/..%5c..%5c/images",
    f"/api/audits/{RUN}/images/..%2f..%2frun.json/pixels",
    f"/api/audits/{RUN}/images/{'0' * 64}/saliency/..%2f..%2fregions",
]


def test_no_path_leaves_its_folder(as_: SignIn) -> None:
    client = as_("ada")
    for path in STRANGE_PATHS:
        answer = client.get(path)
        assert answer.status_code in (400, 404, 422), path
        assert "root:" not in answer.text, path
        assert "import " not in answer.text, path


def test_a_run_that_is_a_link_out_of_the_workspace_is_no_audit(as_: SignIn, review_workspace: Study) -> None:
    (review_workspace.workspace / "runs" / "outside").symlink_to("/etc")
    assert as_("ada").get("/audits/outside/report").status_code == 404


def test_large_requests_are_refused(as_: SignIn) -> None:
    client, large = as_("rosa"), b" " * (LARGEST_BODY + 1)
    said = client.post(f"/api/audits/{RUN}/decisions", content=large, headers={"content-type": "application/json"})
    pieces = (large[start : start + 65536] for start in range(0, len(large), 65536))
    silent = client.post(f"/api/audits/{RUN}/decisions", content=pieces, headers={"content-type": "application/json"})
    for answer in (said, silent):
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "too-large"


def test_a_password_is_never_answered_back(as_: SignIn) -> None:
    answer = as_(None).post("/api/login", json={"name": "a", "password": "p" * 2000, "more": "secret"})
    assert answer.status_code == 422
    assert "ppp" not in answer.text
    assert "secret" not in answer.text


def test_large_answers_are_packed(as_: SignIn) -> None:
    answer = as_("ada").get(f"/api/audits/{RUN}/findings")
    assert answer.headers["content-encoding"] == "gzip"


def test_nothing_is_loaded_from_elsewhere(as_: SignIn) -> None:
    client = as_("ada")
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404
    assert client.get("/api/openapi.json").json()["info"]["title"] == "cxr-audit review"


# ---------------------------------------------------------------- TLS


@pytest.fixture
def behind_tls(store: Store, review_workspace: Study) -> FastAPI:
    access = AccessConfig.accounts(frozenset({"testserver"}), port=443, secure=True)
    return page_app(store, review_workspace.workspace, access)


def test_plain_http_is_refused_where_there_should_be_tls(behind_tls: FastAPI) -> None:
    plain, tls = client_of(behind_tls), client_of(behind_tls, base_url="https://testserver")
    assert plain.get("/login").status_code == 400
    assert tls.get("/login").status_code == 200


def test_a_test_client_without_a_session_is_nobody(app: FastAPI) -> None:
    assert TestClient(app).get("/api/me").status_code == 401
