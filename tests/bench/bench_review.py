"""The review page under load: a real server, 100,000 images, 20 reviewers, SQLite and PostgreSQL, and a real browser.

Prints Markdown tables. The databases are real ones that flush to disk; the reviewers are threads of this process, which
share the machine's cores with the server.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
from sqlalchemy import select

from pipeline.artifacts import write_json
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, create_pixels
from pipeline.review.store import open_store
from pipeline.review.store.tables import Decision
from pipeline.review.web.access.accounts import add_account
from tests.pipeline.review.study import CLASSES, image_id, large_run, postgres_server

REVIEWERS = 20
PASSWORD = secrets.token_urlsafe(16)
VERDICTS = ("accepted", "rejected", "keep", "unsure")
SIZE = 640


@dataclass(frozen=True)
class Served:
    """A running server."""

    address: str
    run: str

    def client(self, name: str) -> httpx.Client:
        """Signed in as `name`. The server believes that a proxy speaks TLS, so cookies are carried by hand."""
        headers = {"X-Forwarded-Proto": "https"}
        client = httpx.Client(base_url=self.address, headers=headers, timeout=60)
        secure = self.address.replace("http:", "https:")
        answer = client.post("/api/login", json={"name": name, "password": PASSWORD}, headers={"Origin": secure})
        answer.raise_for_status()
        client.headers["Cookie"] = answer.headers["set-cookie"].partition(";")[0]
        found = re.search(r'name="csrf-token" content="([^"]+)"', client.get("/").text)
        if found is None:
            raise RuntimeError("the page holds no CSRF token")
        client.headers.update({"X-CSRF-Token": found[1], "Origin": secure})
        return client


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--decisions", type=int, default=5_000)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds a reviewer looks before deciding")
    parser.add_argument("--databases", nargs="+", choices=("SQLite", "PostgreSQL"), default=("SQLite", "PostgreSQL"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cxr-bench-") as folder:
        workspace = Path(folder) / "workspace"
        _dataset(workspace / "datasets" / "tiny" / "v1", asked.images)
        request = {"dataset": "tiny/v1", "config": {"seed": 0, "explain": {"methods": []}}}
        write_json(workspace / "runs" / "synthetic" / "run.json", {"request": request, "artifacts": {}})
        with postgres_server("fsync=on") as postgres:
            sqlite = f"sqlite:///{Path(folder) / 'review.sqlite'}"
            urls = {"SQLite": sqlite, "PostgreSQL": postgres.create_database()}
            for name, url in ((each, urls[each]) for each in asked.databases):
                with _served(workspace, url, asked.images) as served:
                    _load(name, served, url, asked)
                    if name == "SQLite":
                        _views(served, asked.images)
                        _paint(served)


def _dataset(target: Path, images: int) -> None:
    """`images` x-ray sized images (uint16, noise over a gradient) in a store whose shards repeat."""
    target.mkdir(parents=True)
    rng = np.random.default_rng(0)
    store = create_pixels(target / "pixels.zarr", images, SIZE, "uint16")
    ramp = np.linspace(0.2, 0.7, SIZE, dtype=np.float32)[:, None]
    block = np.stack([ramp + rng.normal(0, 0.01, (SIZE, SIZE)) for _ in range(256)]).clip(0, 1)
    filled = min(images, 256)
    for start in range(0, filled, 256):
        store[start : start + 256] = np.rint(block[: filled - start] * 4095 * 16).astype(np.uint16)
    table = pd.DataFrame({"image_id": [image_id("synthetic", row) for row in range(images)]})
    table = table.assign(
        path=[f"{row}.png" for row in range(images)],
        label=[CLASSES[row % 2] for row in range(images)],
        width=SIZE,
        height=SIZE,
        bits=12,
        scale=1.0,
        pad_x=0.0,
        pad_y=0.0,
    )
    table = table.reindex(columns=list(IMAGE_COLUMNS)).astype(IMAGE_COLUMNS)
    table.to_parquet(target / "images.parquet")
    meta = DatasetMeta("tiny", "v1", "Made up", CLASSES, "opacity", SIZE, "uint16")
    write_json(target / "meta.json", asdict(meta))


@contextmanager
def _served(workspace: Path, url: str, images: int) -> Iterator[Served]:
    store = open_store(url)
    run = large_run(store, images)
    with store.writing() as session:
        for number in range(REVIEWERS):
            add_account(session, f"reader {number}", PASSWORD, "reviewer", by="bench")
    store.dispose()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "flows", "review", "--workspace", str(workspace), "--port", str(port)]
    environment = {**os.environ, "CXR_AUDIT_DATABASE": url}
    log = (workspace / "server.log").open("w")
    server = subprocess.Popen(
        [*command, "--behind-tls", "--no-open"], env=environment, stdout=log, stderr=log, start_new_session=True
    )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(f"{address}/login")
        yield Served(address, run)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
        log.close()


def _wait(address: str) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            if httpx.get(address, headers={"X-Forwarded-Proto": "https"}, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise RuntimeError("the server did not start within 120 s")


def _load(name: str, served: Served, url: str, asked: argparse.Namespace) -> None:
    """Everybody asks for the next undecided image, looks at it, and decides one of its regions."""
    decisions, images = asked.decisions, asked.images
    clients = [served.client(f"reader {number}") for number in range(REVIEWERS)]
    times: dict[str, list[float]] = {"next": [], "view": [], "decide": []}
    acknowledged: list[int] = []
    refused = 0
    lock = threading.Lock()

    def review(number: int) -> None:
        nonlocal refused
        client, here = clients[number], f"/api/audits/{served.run}"
        # Reviewers start at different places, as people who share out the work do.
        image = image_id(served.run, number * images // REVIEWERS)
        for turn in range(decisions // REVIEWERS):
            seconds, following = _timed(client, "GET", f"{here}/next?image={image}&direction=next&sort=row")
            view_seconds, view = _timed(client, "GET", f"{here}/images/{following['image_id']}")
            image = view["image_id"]
            region = next(each for each in view["regions"] if each["own"] is None)
            body = {
                "key": f"bench-{number}-{turn}-{secrets.token_hex(4)}",
                "target": {"regions": [region["region_id"]], "scope": "region"},
                "verdict": VERDICTS[turn % 4],
                "expected": {image: view["version"]},
            }
            time.sleep(asked.pause)
            decide_seconds, outcome = _timed(client, "POST", f"{here}/decisions", body)
            with lock:
                times["next"].append(seconds)
                times["view"].append(view_seconds)
                times["decide"].append(decide_seconds)
                if "batch" in outcome:
                    acknowledged.append(outcome["batch"])
                else:
                    refused += 1

    began = time.perf_counter()
    with ThreadPoolExecutor(REVIEWERS) as pool:
        list(pool.map(review, range(REVIEWERS)))
    seconds = time.perf_counter() - began
    store = open_store(url)
    with store.reading() as session:
        kept = set(session.scalars(select(Decision.batch)))
    store.dispose()
    say(
        f"\n{name}: {REVIEWERS} reviewers who pause {asked.pause:g} s, {images:,} images, "
        f"{len(acknowledged):,} decisions in {seconds:.0f} s "
        f"({len(acknowledged) / seconds:.0f}/s), {refused} refused, {len(set(acknowledged) - kept)} lost\n"
    )
    say("| request | N | p50 ms | p95 ms | worst ms |\n| --- | --- | --- | --- | --- |")
    for what, took in times.items():
        say(f"| {what} | {len(took):,} | {ms(took, 50)} | {ms(took, 95)} | {ms(took, 100)} |")


def _timed(client: httpx.Client, method: str, path: str, body: dict[str, object] | None = None) -> tuple[float, dict]:
    began = time.perf_counter()
    answer = client.request(method, path, json=body)
    seconds = time.perf_counter() - began
    if answer.status_code not in (200, 409):
        raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
    return seconds, answer.json()


def _views(served: Served, images: int) -> None:
    """All that the image view needs of one image, one request after the other, from the store."""
    client, here = served.client("reader 0"), f"/api/audits/{served.run}"
    took, pages = [], []
    for row in range(0, 200, 4):
        image = image_id(served.run, row)
        began = time.perf_counter()
        for path in ("", "/pixels"):
            client.get(f"{here}/images/{image}{path}").raise_for_status()
        took.append(time.perf_counter() - began)
    for offset in np.linspace(0, images - 200, 40).astype(int):
        pages.append(_timed(client, "GET", f"{here}/images?offset={offset}&limit=200")[0])
    say(f"\none reviewer, nobody else: facts and 16-bit pixels ({SIZE} x {SIZE}) of an image; 200 cells of the gallery")
    say("\n| request | N | p50 ms | p95 ms |\n| --- | --- | --- | --- |")
    for what, seconds in {"image": took, "gallery page": pages}.items():
        say(f"| {what} | {len(seconds)} | {ms(seconds, 50)} | {ms(seconds, 95)} |")


def _paint(served: Served) -> None:
    """First paint of the gallery and of the image view in Chromium, and when their pictures are there."""
    from playwright.sync_api import sync_playwright

    cookie = served.client("reader 1").headers["Cookie"]
    pages = {
        "gallery": ("gallery?sort=row", f"{_PICTURES}.filter(each => each.naturalWidth).length >= 8"),
        "image view": (f"images/{image_id(served.run, 3)}", "document.getElementById('viewer')?.ariaBusy === null"),
    }
    say("\n| page | first contentful paint, ms | pictures there, ms |\n| --- | --- | --- |")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium")
        sent = {"X-Forwarded-Proto": "https", "Cookie": cookie}
        context = browser.new_context(viewport={"width": 1366, "height": 768}, extra_http_headers=sent)
        for what, (path, ready) in pages.items():
            paints, whole = [], []
            for _ in range(5):
                page = context.new_page()
                began = time.perf_counter()
                page.goto(f"{served.address}/audits/{served.run}/{path}")
                page.wait_for_function(f"() => {ready}")
                whole.append(f"{(time.perf_counter() - began) * 1000:.0f}")
                paints.append(f"{page.evaluate(_PAINT):.0f}")
                page.close()
            say(f"| {what} | {', '.join(paints)} | {', '.join(whole)} |")
        browser.close()


_PICTURES = "[...document.querySelectorAll('main img')]"
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def ms(seconds: list[float], percentile: int) -> str:
    """A percentile in milliseconds."""
    return f"{np.percentile(seconds, percentile) * 1000:.0f}"


def say(line: str) -> None:
    """One line of the result."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
