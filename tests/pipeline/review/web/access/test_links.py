"""One person on this machine: a link lets one browser in, once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import FastAPI

from pipeline.review.store import Store
from pipeline.review.web.access.config import AccessConfig
from pipeline.review.web.access.links import Links
from tests.pipeline.review.entering import client_of, page_app
from tests.pipeline.review.study import Study

BASE = "http://127.0.0.1:8765"


@pytest.fixture
def links() -> Links:
    return Links(BASE, announce=lambda link: announced.append(link))


announced: list[str] = []


@pytest.fixture
def local(store: Store, review_workspace: Study, links: Links) -> FastAPI:
    announced.clear()
    return page_app(store, review_workspace.workspace, AccessConfig.local("ann", links, port=8765))


def test_a_link_lets_one_browser_in_once(local: FastAPI, links: Links) -> None:
    browser, other, link = client_of(local, base_url=BASE), client_of(local, base_url=BASE), links.current
    answer = browser.get(link)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.get("/api/me").json() == {"name": "ann", "role": "admin"}
    refused = other.get(link)
    assert refused.status_code == 401
    assert "used already" in refused.text
    assert "set-cookie" not in refused.headers
    assert other.get("/api/me").status_code == 401


def test_the_next_link_is_announced_and_lets_another_browser_in(local: FastAPI, links: Links) -> None:
    first = links.current
    client_of(local, base_url=BASE).get(first)
    assert announced == [links.current] != [first]
    another = client_of(local, base_url=BASE)
    another.get(announced[0])
    assert another.get("/api/me").status_code == 200


@pytest.mark.parametrize("token", ["", "x", "é", "a" * 5000])
def test_a_wrong_token_uses_nothing_up(local: FastAPI, links: Links, token: str) -> None:
    link = links.current
    assert client_of(local, base_url=BASE).get("/", params={"token": token}).status_code == 401
    assert links.current == link


def test_of_many_browsers_at_once_one_gets_in(links: Links) -> None:
    token = links.current.partition("=")[2]
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(links.use, [token] * 64)) == 1


def test_without_a_link_a_page_says_where_it_is(local: FastAPI) -> None:
    nobody = client_of(local, base_url=BASE)
    assert nobody.get("/").status_code == 401
    assert "printed last in its terminal" in nobody.get("/").text
    assert nobody.get("/login").headers["location"] == "/"
    refused = nobody.post("/api/login", json={"name": "ann", "password": "x" * 12})
    assert refused.status_code == 404


def test_the_cookie_is_for_this_server_and_no_script(local: FastAPI, links: Links) -> None:
    cookie = client_of(local, base_url=BASE).get(links.current).headers["set-cookie"]
    assert cookie.startswith("cxr-audit-8765=")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie
    assert "Secure" not in cookie


def test_a_session_lives_on_with_another_server_of_the_same_person_only(
    local: FastAPI, links: Links, store: Store, review_workspace: Study
) -> None:
    browser = client_of(local, base_url=BASE)
    browser.get(links.current)
    servers = {
        "ann": AccessConfig.local("ann", Links(BASE, announce=announced.append), port=8765),
        "ben": AccessConfig.local("ben", Links(BASE, announce=announced.append), port=8765),
        "accounts": AccessConfig.accounts(frozenset(), port=8765, secure=False),
    }
    found = {}
    for name, access in servers.items():
        again = client_of(page_app(store, review_workspace.workspace, access), base_url=BASE)
        again.cookies = browser.cookies
        found[name] = again.get("/api/me").status_code
    assert found == {"ann": 200, "ben": 401, "accounts": 401}


def test_signing_in_by_link_is_logged_without_the_token(local: FastAPI, links: Links) -> None:
    link = links.current
    browser = client_of(local, base_url=BASE)
    browser.get(link)
    log = browser.get("/api/log")
    assert [(each["user"], each["action"], each["detail"]) for each in log.json()] == [
        ("ann", "sign in", {"by": "link"})
    ]
    assert link.partition("=")[2] not in log.text
