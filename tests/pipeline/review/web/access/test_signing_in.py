"""Names and passwords, sessions and their ends."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy import select, update

from pipeline.review.store import Store
from pipeline.review.store.tables import Session, User
from pipeline.review.values import Actor
from pipeline.review.web.access import accounts, sessions
from pipeline.review.web.access.accounts import set_disabled, set_password, set_role
from pipeline.review.web.access.config import AccessConfig
from tests.pipeline.review.entering import ACCOUNTS, client_of, page_app
from tests.pipeline.review.study import Study

from .conftest import PASSWORD, SignIn

COOKIE = ACCOUNTS.cookie


def sign_in(client: TestClient, name: str = "rosa", password: str = PASSWORD) -> Response:
    """One try."""
    return client.post("/api/login", json={"name": name, "password": password})


@pytest.fixture
def browser(as_: SignIn) -> TestClient:
    """Of nobody yet."""
    return as_(None)


def test_the_right_password_opens_a_session(browser: TestClient) -> None:
    answer = sign_in(browser)
    assert (answer.status_code, answer.json()) == (200, {"name": "rosa", "role": "reviewer"})
    assert browser.get("/api/me").json() == {"name": "rosa", "role": "reviewer"}
    assert browser.get("/login").headers["location"] == "/"


def test_cookies_are_hidden_from_scripts_and_other_sites(browser: TestClient) -> None:
    cookie = sign_in(browser).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    assert "Max-Age" not in cookie


def test_over_tls_cookies_never_travel_without(store: Store, app: FastAPI, review_workspace: Study) -> None:
    access = AccessConfig.accounts(frozenset({"testserver"}), port=443, secure=True)
    browser = client_of(page_app(store, review_workspace.workspace, access), base_url="https://testserver")
    cookie = sign_in(browser).headers["set-cookie"]
    assert cookie.startswith("__Host-cxr-audit-443=")
    assert "Secure" in cookie
    assert browser.get("/api/me").status_code == 200


def test_the_database_knows_no_cookie_and_no_password(browser: TestClient, store: Store) -> None:
    sign_in(browser)
    cookie = browser.cookies[COOKIE]
    with store.reading() as session:
        [row] = session.scalars(select(Session)).all()
        stored = session.get_one(User, "rosa").password
    assert row.token == hashlib.sha256(f"accounts:{cookie}".encode()).hexdigest()
    assert cookie not in (row.token, row.csrf)
    assert stored.startswith("$argon2id$")
    assert PASSWORD not in stored


def test_a_cookie_from_before_is_worth_nothing_after(browser: TestClient, as_: SignIn) -> None:
    """Session fixation: whoever planted or knew the old cookie is not signed in with it."""
    browser.cookies.set(COOKIE, "planted")
    sign_in(browser)
    assert browser.cookies.get(COOKIE, domain="testserver.local") != "planted"
    attacker = as_(None)
    attacker.cookies.set(COOKIE, "planted")
    assert attacker.get("/api/me").status_code == 401


def test_signing_in_again_ends_the_session_before(app: FastAPI, as_: SignIn) -> None:
    browser, copy = as_(None), as_(None)
    sign_in(browser)
    copy.cookies.set(COOKIE, browser.cookies[COOKIE])
    assert copy.get("/api/me").status_code == 200
    sign_in(browser, "ada")
    assert copy.get("/api/me").status_code == 401
    assert browser.get("/api/me").json()["name"] == "ada"


def test_refusals_do_not_tell_which_names_exist(browser: TestClient, store: Store) -> None:
    with store.writing() as session:
        set_disabled(session, "vera", True, by="test")
    answers = [sign_in(browser, "rosa", "wrong password"), sign_in(browser, "nobody"), sign_in(browser, "vera")]
    assert {each.status_code for each in answers} == {401}
    assert len({each.text for each in answers}) == 1


def test_a_hash_is_computed_for_every_name(browser: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []
    real = accounts._matches
    monkeypatch.setattr(accounts, "_matches", lambda stored, given: looked_at.append(stored) or real(stored, given))
    sign_in(browser, "rosa", "wrong password")
    sign_in(browser, "nobody", "wrong password")
    assert len(looked_at) == 2
    assert all(each.startswith("$argon2id$") for each in looked_at)


def test_many_tries_are_slowed_down_and_the_owner_is_told_when(browser: TestClient) -> None:
    statuses = [sign_in(browser, "rosa", "wrong password").status_code for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    answer = sign_in(browser)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 30
    assert sign_in(browser, "ada").status_code == 200


def test_right_passwords_are_not_counted(as_: SignIn) -> None:
    assert [sign_in(as_(None)).status_code for _ in range(12)] == [200] * 12


def test_a_session_ends_by_signing_out(browser: TestClient, as_: SignIn) -> None:
    sign_in(browser)
    copy = as_(None)
    copy.cookies.set(COOKIE, browser.cookies[COOKIE])
    found = browser.app.state.sessions.find(browser.cookies[COOKIE])  # type: ignore[attr-defined]
    answer = browser.post("/api/logout", headers={"X-CSRF-Token": found.csrf})
    assert answer.status_code == 204
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert copy.get("/api/me").status_code == 401


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda session: set_disabled(session, "rosa", True, by="test"), 401),
        (lambda session: set_password(session, "rosa", "another long password", by="test"), 401),
        (lambda session: set_role(session, "rosa", "viewer", by="test"), 200),
    ],
)
def test_changes_of_an_account_count_at_once(browser: TestClient, store: Store, change: object, status: int) -> None:
    sign_in(browser)
    with store.writing() as session:
        change(session)  # type: ignore[operator]
    answer = browser.get("/api/me")
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["role"] == "viewer"


def test_a_session_that_began_while_its_account_was_disabled_is_none(app: FastAPI, store: Store) -> None:
    with store.writing() as session:
        set_disabled(session, "rosa", True, by="test")
    cookie = app.state.sessions.begin(Actor(name="rosa", role="reviewer"))
    assert app.state.sessions.find(cookie) is None


def test_an_account_that_is_enabled_again_has_no_old_sessions(browser: TestClient, store: Store) -> None:
    sign_in(browser)
    for disabled in (True, False):
        with store.writing() as session:
            set_disabled(session, "rosa", disabled, by="test")
    assert browser.get("/api/me").status_code == 401
    assert sign_in(browser).status_code == 200


@pytest.mark.parametrize(
    ("hours", "step", "alive"),
    [(13, 13, False), (30, 6, True), (24 * 7 - 1, 6, True), (24 * 7 + 6, 6, False)],
    ids=["idle", "used", "a week", "longer"],
)
def test_sessions_end_after_twelve_idle_hours_or_a_week(
    browser: TestClient, monkeypatch: pytest.MonkeyPatch, hours: int, step: int, alive: bool
) -> None:
    began = sessions.now()
    sign_in(browser)
    for hour in [*range(step, hours, step), hours]:
        moment: datetime = began + timedelta(hours=hour)
        monkeypatch.setattr(sessions, "now", lambda moment=moment: moment)
        status = browser.get("/api/me").status_code
    assert (status == 200) == alive


def test_sessions_that_ended_are_forgotten(browser: TestClient, store: Store) -> None:
    sign_in(browser)
    with store.writing() as session:
        session.execute(update(Session).values(expires=sessions.now() - timedelta(hours=1)))
    sign_in(browser, "ada")
    with store.reading() as session:
        assert [each.user for each in session.scalars(select(Session))] == ["ada"]


def test_who_signs_in_fails_and_signs_out_is_logged(browser: TestClient, as_: SignIn) -> None:
    sign_in(browser, "rosa", "wrong password")
    sign_in(browser, "my secret typed in the wrong field")
    sign_in(browser)
    found = browser.app.state.sessions.find(browser.cookies[COOKIE])  # type: ignore[attr-defined]
    browser.post("/api/logout", headers={"X-CSRF-Token": found.csrf})
    log = as_("ada").get("/api/log")
    entries = [(each["user"], each["action"]) for each in reversed(log.json())]
    assert entries[-4:] == [
        ("rosa", "failed sign in"),
        (None, "failed sign in"),
        ("rosa", "sign in"),
        ("rosa", "sign out"),
    ]
    assert "secret" not in log.text
    assert all(each["address"] == "testclient" for each in log.json() if "sign" in each["action"])


def test_two_servers_of_one_database_share_sessions(app: FastAPI, store: Store, review_workspace: Study) -> None:
    first = client_of(app, Actor(name="ada", role="admin"))
    second = client_of(page_app(store, review_workspace.workspace))
    second.cookies = first.cookies
    assert second.get("/api/me").status_code == 200
