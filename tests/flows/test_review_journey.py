"""A whole review as a person makes it: a real audit, the real server, Chromium, keys and mouse, repair, report.

The pictures it takes go to `CXR_AUDIT_SCREENSHOTS`, where that is set, else to the test's folder.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from tests.browser.served import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1200)]
COMMAND = [sys.executable, "-m", "flows"]


@dataclass
class Journey:
    """An audited workspace, the server's link, and where pictures go."""

    workspace: Path
    run: Path
    link: str
    pictures: Path
    taken: list[str] = field(default_factory=list)

    @property
    def home(self) -> str:
        """The server's address."""
        return self.link.partition("/?")[0]

    def shoot(self, page: Page, name: str) -> None:
        """Keep a picture of the page."""
        page.screenshot(path=str(self.pictures / f"{name}.png"))
        self.taken.append(name)


@pytest.fixture
def journey(tiny_manifest: Path, prefect_environment: dict[str, str], tmp_path: Path) -> Iterator[Journey]:
    workspace = tmp_path / "workspace"
    asked = [*COMMAND, "audit", str(tiny_manifest), "--workspace", str(workspace), "--preset", "quick", "--json"]
    audited = subprocess.run(asked, env=prefect_environment, capture_output=True, text=True, check=False)
    assert audited.returncode == 4, audited.stderr[-2000:]
    run = Path(json.loads(audited.stdout)["run"])
    pictures = Path(os.environ.get("CXR_AUDIT_SCREENSHOTS", tmp_path / "pictures"))
    pictures.mkdir(parents=True, exist_ok=True)
    serving = [*COMMAND, "review", "--workspace", str(workspace), "--port", "0", "--no-open", "--reviewer", "ann"]
    server = subprocess.Popen(
        serving,
        env=prefect_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert server.stdout is not None
        link = next(line.strip() for line in server.stdout if "?token=" in line)
        yield Journey(workspace, run, link, pictures)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        assert server.wait(30) == 0


def test_review_by_keys_and_mouse_then_repair_and_report(journey: Journey) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.set_default_timeout(60_000)
        page.goto(journey.link)
        journey.shoot(page, "home")
        page.get_by_role("link", name="Tiny phantoms").first.click()
        page.wait_for_selector("[data-finding]")
        finding = _finding(journey, "position")

        image = _one_image_by_keys(page, journey, finding)
        _one_image_by_mouse(page, journey, image)
        _findings(page, journey, finding)
        _repair(page, journey)
        assert not errors, errors
    _check_what_was_kept(journey, finding)


def _finding(journey: Journey, kind: str) -> str:
    findings = json.loads((journey.run / "findings.json").read_text())["findings"]
    return next(str(each["id"]) for each in findings if each["kind"] == kind)


def _one_image_by_keys(page: Page, journey: Journey, finding: str) -> str:
    """Gallery to image without a mouse; decide, undo, redo, draw, take away, go on."""
    page.goto(f"{journey.home}/audits/{journey.run.name}/gallery?finding={finding}")
    page.wait_for_function(
        "() => [...document.querySelectorAll('main img')].filter(each => each.naturalWidth).length >= 4"
    )
    journey.shoot(page, "gallery")
    page.locator("main a[href*='/images/']").first.focus()
    page.keyboard.press("Enter")
    _there(page)
    page.locator("#auto-advance").uncheck()
    page.locator("#stage").focus()
    page.keyboard.press("?")
    journey.shoot(page, "keys")
    page.keyboard.press("Escape")
    journey.shoot(page, "image")

    left = page.locator("#regions > li").count()
    page.keyboard.press("j")
    _press(page, "r", "/decisions")
    _press(page, "Control+z", "/undo")
    _press(page, "Control+y", "/redo")
    page.keyboard.press("c")
    page.keyboard.type("a raku test: no key fires here")
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    _press(page, "Enter", "/regions")
    page.wait_for_function(f"() => document.querySelectorAll('#regions > li').length === {left + 1}")
    _press(page, "ArrowRight", "/regions/")
    journey.shoot(page, "drawing")
    _press(page, "Delete", "/delete")
    page.wait_for_function(f"() => document.querySelectorAll('#regions > li').length === {left}")
    page.keyboard.press("d")
    here = page.url
    page.keyboard.press("n")
    page.wait_for_function(f"() => location.href !== {json.dumps(here)}")
    _there(page)
    return page.url


def _one_image_by_mouse(page: Page, journey: Journey, image: str) -> None:
    """Draw a box by dragging, accept it, keep another, with the buttons alone."""
    assert page.url == image
    regions = page.locator("#regions > li")
    before = regions.count()
    page.get_by_role("button", name="Draw", exact=True).click()
    stage = page.locator("#stage figure[data-pane='overlay'] canvas").bounding_box()
    assert stage is not None
    page.mouse.move(stage["x"] + stage["width"] * 0.42, stage["y"] + stage["height"] * 0.42)
    page.mouse.down()
    page.mouse.move(stage["x"] + stage["width"] * 0.52, stage["y"] + stage["height"] * 0.5, steps=4)
    with page.expect_response(lambda answer: answer.url.endswith("/regions") and answer.request.method == "POST"):
        page.mouse.up()
    page.wait_for_function(f"() => document.querySelectorAll('#regions > li').length === {before + 1}")
    _saved(page)
    with page.expect_response(lambda answer: answer.url.endswith("/decisions")) as answered:
        page.locator("#decide button[data-verdict='accepted']").click()
    assert answered.value.status == 200, answered.value.text()
    page.wait_for_timeout(1500)  # the cleansed preview follows
    journey.shoot(page, "drawn-and-accepted")


def _findings(page: Page, journey: Journey, accepted: str) -> None:
    """Accept what the stamp is about by key, reject all else by mouse, until nothing is left."""
    page.goto(f"{journey.home}/audits/{journey.run.name}")
    page.locator(f"[data-finding='{accepted}']").focus()
    journey.shoot(page, "findings")
    page.keyboard.press("a")
    page.wait_for_selector(f"[data-finding='{accepted}'] [data-review].decided")
    others = page.locator("[data-finding]").evaluate_all("cards => cards.map(card => card.dataset.finding)")
    for finding in others:
        if finding != accepted:
            card = page.locator(f"[data-finding='{finding}']")
            card.focus()
            card.locator("button[data-verdict='rejected']").click()
            page.wait_for_selector(f"[data-finding='{finding}'] [data-review].decided")
    journey.shoot(page, "findings-decided")


def _repair(page: Page, journey: Journey) -> None:
    """The plan, the start, the progress, the report."""
    page.goto(f"{journey.home}/audits/{journey.run.name}/plan")
    page.wait_for_selector("#start:enabled")
    page.wait_for_selector("#samples-panel:visible")
    page.wait_for_timeout(2000)
    journey.shoot(page, "plan")
    assert "opacity" in page.locator("#plan-body").inner_text()
    page.locator("#start").click()
    page.locator("#confirm button[value='start']").click()
    page.wait_for_selector("#stages li", timeout=300_000)  # the process that repairs has to start first
    journey.shoot(page, "repairing")
    page.reload()
    page.wait_for_selector("#job-report:visible", timeout=900_000)
    assert "complete" in page.locator("#job-state").inner_text()
    journey.shoot(page, "repaired")
    page.locator("#job-report").click()
    page.wait_for_load_state()
    assert "AUROC" in page.locator("body").inner_text()
    journey.shoot(page, "report")


def _check_what_was_kept(journey: Journey, accepted: str) -> None:
    """The run holds what was decided, and the cleansed version follows it."""
    decisions = json.loads((journey.run / "decisions.json").read_text())
    text = json.dumps(decisions)
    assert '"ann"' in text
    assert accepted in text
    regions = pd.read_parquet(journey.run / "reviewed_regions.parquet")
    drawn = regions[regions["origin"] == "drawn"]
    assert len(drawn[~drawn["deleted"]]) == 1
    assert drawn.loc[~drawn["deleted"], "verdict"].tolist() == ["accepted"]
    assert len(drawn[drawn["deleted"]]) in (0, 1)
    assert (journey.run / "comparison.json").exists()
    plan = (journey.run / "plan.yaml").read_text()
    assert re.search(rf"finding: {accepted}", plan)
    # The drawn box is filled: the cleansed version differs there from the data set.
    planned = pd.read_parquet(journey.run / "regions_planned.parquet")
    assert set(drawn.loc[~drawn["deleted"], "region_id"]) <= set(planned["region_id"])


def _there(page: Page) -> None:
    page.wait_for_function("() => document.getElementById('viewer')?.ariaBusy === null")


def _saved(page: Page) -> None:
    page.wait_for_function("() => document.getElementById('saved').textContent.startsWith('All saved')")
    # A new box has its name from the server, which the page asks for next.
    page.wait_for_function("() => !document.querySelector('[data-focus^=name-new]')")


def _press(page: Page, chord: str, path: str) -> None:
    """Press keys and wait until the server has acknowledged what they mean."""
    with page.expect_response(lambda answer: path in answer.url and answer.request.method != "GET") as answered:
        page.keyboard.press(chord)
    assert answered.value.status == 200, answered.value.text()
    _saved(page)
