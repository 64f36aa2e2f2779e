"""Who comes in, by which door, how long they stay, and what those are told who may not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select

from pipeline.errors import InputError, IntegrityError, StorageError
from pipeline.review.store import Store, open_store
from pipeline.review.store.register import register
from pipeline.review.store.tables import LogEntry, Session, User
from pipeline.review.values import Actor, Role
from pipeline.review.web.access import accounts, sessions
from pipeline.review.web.access.attempts import Attempts
from pipeline.review.web.access.config import AccessConfig
from pipeline.review.web.access.headers import CONTENT_SECURITY_POLICY
from pipeline.review.web.access.links import Links
from pipeline.review.web.access.sessions import Sessions
from pipeline.review.web.access.strangers import LARGEST_BODY
from tests.pipeline.review.entering import ACCOUNTS, client_of, page_app
from tests.pipeline.review.study import RUN, Study, image_id

PASSWORD = "seven blue lanterns"
WRONG = "seven red lanterns"
HOME = "http://127.0.0.1:8765"
COOKIE = "cxr-audit-8765"
VERA, ADA = Actor(name="vera", role="viewer"), Actor(name="ada", role="admin")


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 1, 5, 8, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def wait(self, **time: float) -> None:
        self.seconds += timedelta(**time).total_seconds()


@pytest.fixture(autouse=True)
def _quick_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The real algorithm at a ten-thousandth of its cost."""
    monkeypatch.setattr(accounts, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    accounts._nobody.cache_clear()
    yield
    accounts._nobody.cache_clear()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def _empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "review.sqlite"
    open_store(path).dispose()
    return path


@pytest.fixture
def store(_empty: Path, tmp_path: Path) -> Iterator[Store]:
    """A database of the test's own. To copy an empty one is faster than to migrate."""
    shutil.copyfile(_empty, tmp_path / "review.sqlite")
    store = open_store(tmp_path / "review.sqlite", migrate=False)
    yield store
    store.dispose()


@pytest.fixture
def app(store: Store, tmp_path: Path, clock: Clock) -> FastAPI:
    """A server with accounts, and tries that are counted by the test's clock."""
    app = page_app(store, tmp_path / "workspace")
    app.state.attempts = Attempts(clock)
    return app


@pytest.fixture
def announced() -> list[str]:
    return []


@pytest.fixture
def local(store: Store, tmp_path: Path, announced: list[str]) -> FastAPI:
    """One person's server."""
    access = AccessConfig.local("Dr. Reader", Links(HOME, announced.append), port=8765)
    return page_app(store, tmp_path / "workspace", access)


def add(store: Store, name: str = "vera", role: Role = "viewer", password: str = PASSWORD) -> None:
    with store.writing() as session:
        accounts.add_account(session, name, password, role, by="operator")


def sign_in(client: TestClient, name: str = "vera", password: str = PASSWORD, **more: Any) -> Any:
    return client.post("/api/login", json={"name": name, "password": password}, **more)


def link(app: FastAPI) -> str:
    return str(app.state.here.access.links.current).removeprefix(HOME)


def browser(app: FastAPI) -> TestClient:
    """A browser of nobody at the local server."""
    return client_of(app, base_url=HOME)


def status(app: FastAPI, cookie: str | None) -> int:
    """What a request with nothing but this cookie is told."""
    client = client_of(app)
    return client.get("/api/me", headers={"Cookie": f"{COOKIE}={cookie}"}).status_code


def logged(store: Store) -> list[LogEntry]:
    with store.reading() as session:
        return list(session.scalars(select(LogEntry).order_by(LogEntry.id)))


# ---------------------------------------------------------------- links


def test_a_link_lets_one_browser_in_once_and_the_next_is_announced(local: FastAPI, announced: list[str]) -> None:
    used, first, second = link(local), browser(local), browser(local)
    assert first.get("/").status_code == 401
    entered = first.get(used)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert first.get("/api/me").json() == {"name": "Dr. Reader", "role": "admin"}
    refused = second.get(used)
    assert refused.status_code == 401
    assert "used already" in refused.text
    assert second.get("/api/me").status_code == 401
    assert announced == [f"{HOME}{link(local)}"]
    assert announced[0] != f"{HOME}{used}"
    second.get(announced[0])
    assert (first.get("/api/me").status_code, second.get("/api/me").status_code) == (200, 200)


@pytest.mark.parametrize("token", ["", "x", "Ünsinn", "x" * 5000])
def test_a_wrong_token_neither_enters_nor_uses_the_link_up(local: FastAPI, announced: list[str], token: str) -> None:
    good, client = link(local), browser(local)
    assert client.get("/", params={"token": token}).status_code == 401
    assert announced == []
    assert client.get(good).status_code == 303


def test_a_token_works_at_one_address_with_one_method(local: FastAPI) -> None:
    good, client = link(local), browser(local)
    query = good.partition("?")[2]
    assert client.get(f"/api/me?{query}").status_code == 401
    assert client.post(f"/?{query}").status_code == 401
    assert link(local) == good


def test_a_local_server_has_no_accounts(local: FastAPI, store: Store) -> None:
    add(store, "vera", "admin")
    client = browser(local)
    assert sign_in(client).status_code == 404
    assert client.get("/login").headers["location"] == "/"
    assert client.get("/api/me").status_code == 401


# ---------------------------------------------------------------- cookies and sessions


def flags(answer: Any) -> tuple[str, set[str]]:
    """Name and attributes of the one cookie that an answer sets."""
    [cookie] = answer.headers.get_list("set-cookie")
    pair, *attributes = cookie.split("; ")
    return pair.partition("=")[0], {each.lower() for each in attributes}


def test_a_cookie_is_for_this_host_and_no_script(local: FastAPI, app: FastAPI, store: Store) -> None:
    add(store)
    expected = {"httponly", "samesite=strict", "path=/"}  # no Domain, no Max-Age: this host, until the browser ends
    assert flags(browser(local).get(link(local))) == (COOKIE, expected)
    assert flags(sign_in(client_of(app))) == (COOKIE, expected)


def test_over_tls_a_cookie_is_secure_and_bound_to_its_host(store: Store, tmp_path: Path) -> None:
    add(store)
    app = page_app(store, tmp_path, AccessConfig.accounts(frozenset({"testserver"}), port=443, secure=True))
    client = client_of(app, base_url="https://testserver")
    name, attributes = flags(sign_in(client))
    assert name == "__Host-cxr-audit-443"
    assert attributes == {"httponly", "samesite=strict", "path=/", "secure"}
    assert client.get("/api/me").status_code == 200
    assert client_of(app).get("/login").status_code == 400  # without TLS nothing is served, not even the form


def test_signing_in_gives_a_new_cookie_and_ends_the_one_before(app: FastAPI, local: FastAPI, store: Store) -> None:
    add(store)
    client = client_of(app, VERA)  # a session that an attacker began, in the victim's browser
    planted = client.cookies[COOKIE]
    assert status(app, planted) == 200
    given = sign_in(client).cookies[COOKIE]
    assert given != planted
    assert (status(app, planted), status(app, given)) == (401, 200)
    own = browser(local)
    own.get(link(local))
    before = own.cookies[COOKIE]
    own.get(link(local))
    assert own.cookies[COOKIE] != before
    assert browser(local).get("/api/me", headers={"Cookie": f"{COOKIE}={before}"}).status_code == 401


def test_a_cookie_that_somebody_made_up_is_never_taken_over(app: FastAPI, store: Store) -> None:
    add(store)
    chosen = sign_in(client_of(app), headers={"Cookie": f"{COOKIE}=chosen"}).cookies[COOKIE]
    assert chosen != "chosen"
    assert status(app, "chosen") == 401


def test_the_database_does_not_know_cookies(app: FastAPI, store: Store) -> None:
    cookie = client_of(app, VERA).cookies[COOKIE]
    with store.reading() as session:
        [token] = session.scalars(select(Session.token))
    assert len(token) == 64
    assert status(app, token) == 401
    assert cookie not in token


def test_signing_out_ends_the_session(app: FastAPI) -> None:
    client = client_of(app, VERA)
    cookie = client.cookies[COOKIE]
    answer = client.post("/api/logout")
    assert (answer.status_code, answer.headers["clear-site-data"]) == (204, '"cache"')
    assert status(app, cookie) == 401


def test_a_session_goes_on_while_it_is_used_and_ends_when_it_is_not(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "now", clock.now)
    with store.writing() as session:
        session.add(User(name="vera", password="*", role="viewer", created=clock.now()))
    here = Sessions(store, ACCOUNTS)
    cookie = here.begin(VERA)
    clock.wait(hours=11)
    assert here.find(cookie) is not None
    clock.wait(hours=11)
    assert here.find(cookie) is not None
    clock.wait(hours=12)
    assert here.find(cookie) is None


def test_no_session_is_longer_than_a_week(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "now", clock.now)
    with store.writing() as session:
        session.add(User(name="vera", password="*", role="viewer", created=clock.now()))
    here = Sessions(store, ACCOUNTS)
    cookie = here.begin(VERA)
    alive = []
    for _ in range(17):
        clock.wait(hours=10)
        alive.append(here.find(cookie) is not None)
    assert alive == [True] * 16 + [False]  # 168 hours are between the 16th and the 17th


def test_an_end_is_not_written_with_every_request(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "now", clock.now)
    here = Sessions(store, AccessConfig.local("Ann", Links(HOME, print), port=8765))
    cookie = here.begin(Actor(name="Ann", role="admin"))

    def end() -> datetime:
        here.find(cookie)
        with store.reading() as session:
            return session.scalars(select(Session.expires)).one()

    start = end()
    clock.wait(minutes=9)
    assert end() == start
    clock.wait(minutes=2)
    assert end() == start + timedelta(minutes=11)


def test_sessions_of_a_local_server_and_of_accounts_are_different_things(store: Store) -> None:
    def local(reviewer: str) -> Sessions:
        return Sessions(store, AccessConfig.local(reviewer, Links(HOME, print), port=8765))

    add(store, "ann", "viewer")
    ann = Actor(name="ann", role="admin")
    by_link, by_password = local("ann").begin(ann), Sessions(store, ACCOUNTS).begin(ann)
    assert local("ann").find(by_link) is not None
    assert Sessions(store, ACCOUNTS).find(by_link) is None
    assert local("ann").find(by_password) is None
    assert local("ben").find(by_link) is None


@pytest.mark.parametrize("by_command", [True, False])
def test_a_disabled_account_is_out_at_once(app: FastAPI, store: Store, by_command: bool) -> None:
    add(store)
    client = client_of(app, VERA)
    assert client.get("/api/me").status_code == 200
    with store.writing() as session:
        if by_command:
            accounts.set_disabled(session, "vera", True, by="operator")
        else:
            session.get_one(User, "vera").disabled = True
    assert client.get("/api/me").status_code == 401
    assert sign_in(client_of(app)).status_code == 401
    with store.writing() as session:
        accounts.set_disabled(session, "vera", False, by="operator")
    assert client.get("/api/me").status_code == (401 if by_command else 200)
    assert sign_in(client_of(app)).status_code == 200


def test_a_new_password_signs_all_browsers_out(app: FastAPI, store: Store) -> None:
    add(store)
    add(store, "ada", "admin")
    first, second, other = client_of(app, VERA), client_of(app, VERA), client_of(app, ADA)
    with store.writing() as session:
        accounts.set_password(session, "vera", WRONG, by="operator")
    assert [each.get("/api/me").status_code for each in (first, second, other)] == [401, 401, 200]
    assert sign_in(client_of(app), password=PASSWORD).status_code == 401
    assert sign_in(client_of(app), password=WRONG).status_code == 200


def test_a_new_role_acts_from_the_next_request_on(app: FastAPI, store: Store) -> None:
    client = client_of(app, VERA)
    told = []
    for role in ("admin", "reviewer"):
        told.append(client.get("/api/log").status_code)
        with store.writing() as session:
            accounts.set_role(session, "vera", role, by="operator")
    assert [*told, client.get("/api/log").status_code] == [403, 200, 403]


# ---------------------------------------------------------------- passwords and tries


def test_names_passwords_and_accounts_that_are_no_good_get_the_same_answer(
    app: FastAPI, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher, verified = accounts._HASHER, []

    class Counting:
        hash = hasher.hash

        def verify(self, stored: str, password: str) -> bool:
            verified.append(password)
            return hasher.verify(stored, password)

    add(store)
    add(store, "dora")
    with store.writing() as session:
        accounts.set_disabled(session, "dora", True, by="operator")
    monkeypatch.setattr(accounts, "_HASHER", Counting())
    tries = [("nobody", PASSWORD), ("vera", WRONG), ("dora", PASSWORD)]
    answers = [sign_in(client_of(app), *each) for each in tries]
    assert {each.status_code for each in answers} == {401}
    assert len({each.text for each in answers}) == 1
    assert len({tuple(sorted(each.headers.items())) for each in answers}) == 1
    assert verified == [password for _, password in tries]  # a hash each: the time tells nothing either


def test_a_password_is_the_same_however_it_is_typed(app: FastAPI, store: Store) -> None:
    add(store, password="schöne grüße 123")
    assert sign_in(client_of(app), password="scho\u0308ne gru\u0308ße 123").status_code == 200


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("eleven char", "has 11 characters; 12 to 1024"),
        ("x" * 1025, "has 1025 characters"),
        ("VeraVera-VERA1", "little more than the name"),
    ],
)
def test_weak_passwords_are_refused(store: Store, password: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        add(store, password=password)
    add(store)
    with pytest.raises(InputError, match=problem), store.writing() as session:
        accounts.set_password(session, "vera", password, by="operator")
    assert accounts.check_password(store, "vera", PASSWORD) == VERA


def test_names_are_taken_once_and_of_plain_characters(store: Store) -> None:
    add(store)
    for name, problem in (("VERA", "an account 'vera' already"), ("a<b>", "cannot be a name"), ("", "cannot be")):
        with pytest.raises(InputError, match=problem):
            add(store, name)
    with store.reading() as session, pytest.raises(InputError, match=r"no account 'vra'.*vera"):
        accounts.account(session, "vra")


def test_tries_for_a_name_are_few_and_come_back_with_time(app: FastAPI, store: Store, clock: Clock) -> None:
    add(store)
    add(store, "ada", "admin")
    assert [sign_in(client_of(app), password=WRONG).status_code for _ in range(5)] == [401] * 5
    refused = sign_in(client_of(app))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    assert refused.json()["error"]["code"] == "too-many"
    elsewhere = TestClient(app, client=("10.9.8.7", 50000))
    assert sign_in(elsewhere).status_code == 429  # the name counts, from wherever
    assert sign_in(client_of(app), "ada").status_code == 200
    clock.wait(seconds=29)
    assert sign_in(client_of(app)).headers["retry-after"] == "1"
    clock.wait(seconds=1)
    assert sign_in(client_of(app)).status_code == 200


def test_tries_from_an_address_are_few_whatever_the_names(app: FastAPI, store: Store, clock: Clock) -> None:
    add(store)
    for number in range(20):
        assert sign_in(client_of(app), f"name{number}").status_code == 401
    refused = sign_in(client_of(app))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
    assert sign_in(TestClient(app, client=("10.9.8.7", 50000))).status_code == 200


def test_the_right_password_costs_no_try(app: FastAPI, store: Store) -> None:
    add(store)
    assert {sign_in(client_of(app)).status_code for _ in range(25)} == {200}


def test_names_in_capitals_and_addresses_of_one_network_count_together(clock: Clock) -> None:
    attempts = Attempts(clock)
    assert [attempts.take(name, None) for name in ("vera", "Vera", "VERA", "vERA", "veRA", "VeRa")] == [0] * 5 + [30]
    attempts = Attempts(clock)
    assert {attempts.take(f"n{each}", f"2001:db8::{each:x}") for each in range(20)} == {0}
    assert attempts.take("other", "2001:db8::ffff") == 10
    assert attempts.take("other", "2001:db8:0:1::1") == 0


# ---------------------------------------------------------------- strangers


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:8765", 303),
        ("LocalHost:8765", 303),
        ("[::1]:8765", 303),
        ("evil.example:8765", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.1.2.3", 421),
        ("", 421),
    ],
)
def test_a_name_that_was_made_to_point_here_is_turned_away(local: FastAPI, host: str, expected: int) -> None:
    client, good = browser(local), link(local)
    assert client.get("/static/base.css", headers={"Host": host}).status_code == (200 if expected == 303 else 421)
    assert client.get(good, headers={"Host": host}).status_code == expected
    assert (link(local) == good) == (expected == 421)


def test_a_server_for_all_addresses_knows_numbers_and_its_own_names(store: Store, tmp_path: Path) -> None:
    access = AccessConfig.accounts(frozenset({"xray.clinic.example"}), port=8765, secure=False, any_address=True)
    app = page_app(store, tmp_path, access)
    hosts = {"10.1.2.3:8765": 200, "[fe80::1]:8765": 200, "xray.clinic.example": 200, "evil.example": 421}
    for host, expected in hosts.items():
        assert client_of(app).get("/login", headers={"Host": host}).status_code == expected


@pytest.mark.parametrize("origin", ["http://evil.example", "https://testserver", "http://testserver:81", "null"])
def test_another_site_changes_nothing(app: FastAPI, store: Store, origin: str) -> None:
    add(store)
    client = client_of(app, VERA)  # with its token, which another site does not have
    assert client.post("/api/logout", headers={"Origin": origin}).status_code == 403
    assert client.get("/api/me").status_code == 200
    signing = client_of(app)
    assert sign_in(signing, headers={"Origin": origin}).status_code == 403
    assert not signing.cookies
    assert client.post("/api/logout", headers={"Origin": "http://testserver"}).status_code == 204


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_may_link_here_and_embed_nothing(app: FastAPI, site: str) -> None:
    client = client_of(app, VERA)

    def get(address: str, mode: str, to: str) -> int:
        told = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": to}
        return client.get(address, headers=told).status_code

    assert get("/", "navigate", "document") == 200
    assert get("/", "navigate", "iframe") == 403
    assert get("/api/me", "cors", "empty") == 403
    assert get("/static/base.css", "no-cors", "style") == 403


def test_who_follows_a_link_elsewhere_is_asked_again_by_our_own_page(app: FastAPI) -> None:
    told = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    again = client_of(app).get("/audits/some", headers=told)
    assert (again.status_code, 'http-equiv="refresh"' in again.text) == (200, True)
    assert (
        client_of(app).get("/audits/some?kind=side").headers["location"] == "/login?next=%2Faudits%2Fsome%3Fkind%3Dside"
    )


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_at_most_a_megabyte(app: FastAPI, chunked: bool) -> None:
    def send(size: int) -> int:
        body = b'{"name": "' + b"x" * (size - 10)
        content = iter([body]) if chunked else body
        headers = {"Content-Type": "application/json"}
        return client_of(app).post("/api/login", content=content, headers=headers).status_code

    assert send(LARGEST_BODY) == 422
    assert send(LARGEST_BODY + 1) == 413


# ---------------------------------------------------------------- names that are paths


@pytest.fixture
def reviewed(review_workspace: Study, store: Store) -> TestClient:
    """An admin at a server with an audit, and files beside it that are none of the page's business."""
    register(store, review_workspace.run, review_workspace.dataset)
    for folder in (review_workspace.workspace, review_workspace.workspace / "runs", review_workspace.workspace.parent):
        (folder / "report.html").write_text("secret", encoding="utf-8")
    return client_of(page_app(store, review_workspace.workspace), ADA)


def test_an_audit_is_named_not_pointed_at(reviewed: TestClient) -> None:
    for run in ("%2e", "%2e%2e", "%2e%2e%2f%2e%2e", "%2e%2e%5c", f"{RUN}%2f%2e%2e", "%2ftmp", "%00"):
        for address in ("/audits/{}/report", "/audits/{}", "/api/audits/{}", "/api/audits/{}/findings"):
            answer = reviewed.get(address.format(run))
            assert answer.status_code in (404, 422), (run, address)
            assert "secret" not in answer.text


def test_an_image_is_named_by_its_hash_alone(reviewed: TestClient) -> None:
    rests = ("", "/pixels", "/thumbnail", "/saliency/grad-cam", "/lungs", "/cleansed?rule=in-force")
    for image in ("%2e%2e", "%2e%2e%2f%2e%2e", "0" * 63, "g" * 64, image_id(RUN, 0).upper(), "0" * 64):
        for rest in rests:
            address = f"/api/audits/{RUN}/images/{image}{rest}"
            assert reviewed.get(address).status_code in (404, 422), address


@pytest.mark.parametrize("path", ["..%2fapp.py", "%2e%2e/app.py", "%2e%2e%2fapp.py", "%2fetc%2fpasswd", "/etc/passwd"])
def test_nothing_but_assets_is_static(app: FastAPI, path: str) -> None:
    answer = client_of(app).get(f"/static/{path}")
    assert answer.status_code == 404
    assert "create_app" not in answer.text
    assert "root:" not in answer.text


def test_a_report_is_shut_in_a_sandbox(reviewed: TestClient, review_workspace: Study) -> None:
    (review_workspace.run / "report.html").write_text("<script>steal()</script>", encoding="utf-8")
    answer = reviewed.get(f"/audits/{RUN}/report")
    policy = answer.headers["content-security-policy"].split("; ")
    assert (answer.status_code, policy[0], policy[1]) == (200, "sandbox", "default-src 'none'")
    assert not any("allow-" in each or "script-src" in each for each in policy)


# ---------------------------------------------------------------- what errors tell


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (lambda path: RuntimeError(f"cannot open {path}"), 500),
        (lambda path: IntegrityError(f"{path} is broken."), 400),
        (lambda path: StorageError(f"{path} cannot be written."), 503),
    ],
)
def test_errors_show_no_path_and_no_stack(
    app: FastAPI, prefix: str, error: Callable[[Path], Exception], expected: int
) -> None:
    folder = app.state.here.workspace

    def broken() -> None:
        raise error(folder / "runs")

    app.add_api_route(f"{prefix}/broken", broken)
    client = TestClient(app, raise_server_exceptions=False, cookies=client_of(app, VERA).cookies)
    answer = client.get(f"{prefix}/broken")
    assert answer.status_code == expected
    for told in (str(folder), "Traceback", ".py", "Error:"):
        assert told not in answer.text
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["content-type"].startswith("application/json" if prefix else "text/html")


def test_a_request_that_is_refused_does_not_repeat_its_password(app: FastAPI) -> None:
    answer = client_of(app).post("/api/login", json={"name": "vera", "password": PASSWORD * 100, "more": PASSWORD})
    assert answer.status_code == 422
    assert PASSWORD not in answer.text


# ---------------------------------------------------------------- the log


def test_the_log_says_who_came_who_failed_and_who_left(app: FastAPI, local: FastAPI, store: Store) -> None:
    add(store, "vera", "viewer")
    client = TestClient(app, client=("10.9.8.7", 50000))
    sign_in(client, password=WRONG)
    sign_in(client, "my secret passphrase", WRONG)  # a password in the wrong field is not kept
    sign_in(client)
    client.post("/api/logout", headers={"X-CSRF-Token": client.get("/api/me").headers["x-csrf-token"]})
    browser(local).get(link(local))
    entries = logged(store)
    assert [(each.user, each.action, each.address) for each in entries] == [
        ("operator", "account added", None),
        ("vera", "failed sign in", "10.9.8.7"),
        (None, "failed sign in", "10.9.8.7"),
        ("vera", "sign in", "10.9.8.7"),
        ("vera", "sign out", "10.9.8.7"),
        ("Dr. Reader", "sign in", "testclient"),
    ]
    assert [entries[each].detail for each in (0, 3, 5)] == [
        {"account": "vera", "role": "viewer"},
        {"by": "password"},
        {"by": "link"},
    ]
    everything = " ".join(f"{each.user} {each.action} {each.detail}" for each in entries)
    assert not any(secret in everything for secret in (PASSWORD, WRONG, "passphrase"))


def test_the_log_says_who_changed_accounts(store: Store) -> None:
    add(store)
    with store.writing() as session:
        accounts.set_role(session, "vera", "admin", by="operator")
        accounts.set_password(session, "vera", WRONG, by="operator")
        accounts.set_disabled(session, "vera", True, by="operator")
        accounts.set_disabled(session, "vera", False, by="operator")
    actions = ["account added", "role changed", "password changed", "account disabled", "account enabled"]
    assert [(each.user, each.action) for each in logged(store)] == [("operator", each) for each in actions]


def test_the_log_is_for_admins_the_newest_first_in_pages(app: FastAPI, store: Store) -> None:
    for name in ("one", "two", "three"):
        add(store, name)
    ada = client_of(app, ADA)
    page = ada.get("/api/log", params={"limit": 2}).json()
    assert [each["detail"]["account"] for each in page] == ["three", "two"]
    rest = ada.get("/api/log", params={"before": page[-1]["id"]}).json()
    assert [each["detail"]["account"] for each in rest] == ["one"]
    for address in ("/api/log", "/log"):
        assert client_of(app, VERA).get(address).status_code == 403
    assert (client_of(app).get("/api/log").status_code, client_of(app).get("/log").status_code) == (401, 303)
    assert "account added" in ada.get("/log").text
