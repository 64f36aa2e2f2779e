"""Who may do what: every route of the API and every page, by role. A route without a rule fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from pipeline.review.values import ROLES
from tests.pipeline.review.study import RUN, image_id, region_id

from .conftest import PEOPLE, SignIn

RULES = {
    "POST /api/login": None,
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
"""The least role; None: everybody, to get one."""
PAGES = {
    "/": "viewer",
    "/audits/{run}": "viewer",
    "/audits/{run}/findings/{finding}": "viewer",
    "/audits/{run}/gallery": "viewer",
    "/audits/{run}/images/{image}": "viewer",
    "/audits/{run}/agreement": "viewer",
    "/audits/{run}/plan": "viewer",
    "/audits/{run}/report": "viewer",
    "/log": "admin",
    "/login": None,
    "/api/openapi.json": "viewer",
}
NAMES = {"run": RUN, "image": image_id(RUN, 0), "region": region_id(RUN, 0, 0), "finding": "F01", "method": "grad-cam"}


def operations(app: FastAPI) -> list[str]:
    """What the API documents."""
    return [f"{method.upper()} {path}" for path, each in app.openapi()["paths"].items() for method in each]


def paths(routes: Iterable[Any]) -> Iterator[str]:
    """Every path that is served, documented or not. FastAPI keeps routers inside of each other."""
    for route in routes:
        if hasattr(route, "effective_candidates"):
            yield from paths(route.effective_candidates())
        else:
            yield route.path


def test_every_route_has_a_rule_and_every_rule_a_route(app: FastAPI) -> None:
    assert set(operations(app)) == set(RULES)
    documented = {rule.split(" ")[1] for rule in RULES}
    assert set(paths(app.routes)) == documented | set(PAGES) | {"/static"}


@pytest.mark.parametrize("name", [None, *PEOPLE])
def test_roles_reach_exactly_what_the_rules_say(app: FastAPI, as_: SignIn, name: str | None) -> None:
    for operation, least in RULES.items():
        if least is None:
            continue
        client = as_(name)
        client._transport.raise_server_exceptions = False  # type: ignore[attr-defined]
        method, path = operation.split(" ")
        status = client.request(method, path.format(**NAMES)).status_code
        assert (status in (401, 403)) == (not _may(name, least)), (operation, status)
        assert status == 401 or name is not None, (operation, status)


@pytest.mark.parametrize("name", [None, *PEOPLE])
def test_pages_open_for_the_same_roles(as_: SignIn, name: str | None) -> None:
    client = as_(name)
    for page, least in PAGES.items():
        answer = client.get(page.format(**NAMES))
        if least is None:
            assert answer.status_code in (200, 303), page
        elif name is None and not page.startswith("/api/"):
            assert answer.status_code == 303, page
            assert answer.headers["location"].startswith("/login?next="), page
        else:
            assert (answer.status_code in (401, 403)) == (not _may(name, least)), (page, answer.status_code)


def _may(name: str | None, least: str) -> bool:
    return name is not None and ROLES.index(PEOPLE[name]) >= ROLES.index(least)  # type: ignore[arg-type]
