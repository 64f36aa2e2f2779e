"""The whole documented API under requests made from its own description, well-formed and not.

Names of audits, images, regions and findings are made up too, so nearly all requests would end at "not found". Most are
therefore exchanged for names that exist, always the same for the same made-up one.
"""

from __future__ import annotations

import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks

from pipeline.review.store import open_store
from pipeline.review.values import Actor
from pipeline.review.web.access.config import AccessConfig
from pipeline.review.web.access.sessions import Sessions
from pipeline.review.web.app import create_app
from tests.pipeline.review.study import FINDINGS, IMAGES, RUN, Study, image_id
from tests.pipeline.review.web.api.fakes import FakeBackend

EXAMPLES = 10
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


class Known:
    """Names that exist."""

    def __init__(self, study: Study) -> None:
        self._images = [image_id(RUN, row) for row in range(IMAGES)]
        self._regions = sorted(study.regions["region_id"])
        self._findings = [finding for finding, *_ in FINDINGS]

    def __call__(self, name: str, value: Any) -> Any:
        """`value`, or a name that exists in its stead."""
        if isinstance(value, list):
            return [self(name, each) for each in value]
        if isinstance(value, dict):
            return _consistent({self("", key): self(key, each) for key, each in value.items()})
        if not isinstance(value, str) or (number := zlib.crc32(value.encode("utf-8", "replace"))) % 8 == 0:
            return value
        known = self._fitting(name, value)
        return known[number // 8 % len(known)] if known else value

    def _fitting(self, name: str, value: str) -> list[str]:
        if re.fullmatch("[0-9a-f]{64}", value):
            return self._images
        if re.fullmatch("[0-9a-f]{16}", value):
            return self._regions
        return {"run": [RUN], "finding": self._findings, "method": ["grad-cam", "lrp"]}.get(name, [])


def _consistent(value: dict[str, Any]) -> dict[str, Any]:
    """What a description cannot say: a target names things of one sort, a box is not empty."""
    given = [name for name in ("finding", "regions", "images") if value.get(name)]
    if len(given) > 1 or "images" in given:
        value = {name: each for name, each in value.items() if name not in given[:-1]}
        value["scope"] = "selected" if given[-1] == "images" else "image"
    corners = [value.get(name) for name in ("x0", "x1", "y0", "y1")]
    if all(isinstance(each, (int, float)) for each in corners):
        x0, x1, y0, y1 = (min(max(each, -200), 200) for each in corners)
        value |= {"x0": min(x0, x1), "x1": max(x0, x1) + 5, "y0": min(y0, y1), "y1": max(y0, y1) + 5}
    return value


@dataclass(frozen=True)
class Server:
    """An application over a made-up audit, and what an admin's browser sends along."""

    app: FastAPI
    study: Study
    headers: dict[str, str]


@pytest.fixture(scope="module")
def server(_phantom: Study, _registered: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("fuzz")
    shutil.copytree(_phantom.workspace, folder / "workspace")
    shutil.copyfile(_registered, folder / "review.sqlite")
    store = open_store(folder / "review.sqlite", migrate=False)
    access = AccessConfig.accounts(frozenset({"testserver"}), port=80, secure=False)
    app = create_app(store, folder / "workspace", FakeBackend(_phantom.dataset), access)
    sessions = Sessions(store, access)
    cookie = sessions.begin(Actor(name="ada", role="admin"))
    found = sessions.find(cookie)
    assert found is not None
    yield Server(app, _phantom, {"Cookie": f"{access.cookie}={cookie}", "X-CSRF-Token": found.csrf})
    store.dispose()


@pytest.fixture(scope="module")
def api(server: Server) -> Any:
    """The API's own description; signing out is left out, for it would end the session of all other requests."""
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", server.app, headers=server.headers)
    schema = schema.exclude(path="/api/logout")
    known = Known(server.study)

    @schema.hook
    def map_path_parameters(context: Any, path_parameters: Any) -> Any:
        return known("", path_parameters)

    @schema.hook
    def map_query(context: Any, query: Any) -> Any:
        return known("", query)

    @schema.hook
    def map_body(context: Any, body: Any) -> Any:
        return known("", body)

    return schema


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["well-formed", "not"])
def test_every_answer_is_as_documented(
    api: Any, server: Server, mode: GenerationMode, subtests: pytest.Subtests
) -> None:
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) > 30
    for operation in operations:
        with subtests.test(operation.label):
            _try(operation, mode, server.headers)


def _try(operation: Any, mode: GenerationMode, headers: dict[str, str]) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    def ask(case: Any) -> None:
        case.call_and_validate(checks=CHECKS, headers=headers)

    with suppress(Unsatisfiable):  # nothing can be wrong about a request that says nothing
        ask()
