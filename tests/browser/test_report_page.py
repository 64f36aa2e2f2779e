"""The report in a real browser, from a file, with the network blocked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from pipeline.config import CompareConfig
from pipeline.dataset import DatasetMeta
from pipeline.report import Example, ReportInput, compare, render_report
from pipeline.types import Box

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.browser


def _report() -> str:
    rng = np.random.default_rng(0)
    rows = [
        {"arm": arm, "seed": seed, "condition": condition, "image_id": f"i{n}", "patient_id": f"p{n}"}
        | {"label": "covid" if n % 2 else "rest", "p_covid": (p := float(rng.random())), "p_rest": 1 - p}
        for arm in ("before", "after", "control")
        for seed in range(3)
        for condition in ("raw", "cleansed", "marker_swapped", "other_source")
        for n in range(30)
    ]
    image = rng.random((200, 260)).astype(np.float32)
    example = Example(
        "F1", "a" * 64, "covid", image, (Box(20, 20, 60, 50),), image, image, "igos++", "s", "test", 0.9, 0.2
    )
    images = pd.DataFrame({"label": ["covid", "rest"], "source": "s", "split": "test", "patient_id": ["a", "b"]})
    meta = DatasetMeta(
        "study", "v0", "A study with a rather long title that must wrap", ("rest", "covid"), "covid", 64, "uint8"
    )
    suspect = {"id": "F2", "kind": "date", "status": "suspected"}
    dull = {"id": "F3", "kind": "arrow", "status": "not-confirmed"}
    finding = {"id": "F1", "kind": "side", "text": "L", "status": "confirmed", "hash": "0123456789abcdef" * 8}
    comparison = compare(pd.DataFrame(rows), "covid", ("rest", "covid"), CompareConfig(bootstrap=100))
    provenance = {"command": "cxr-audit run " + "x" * 300, "settings": {"train": {"epochs": 4, "hash": "f" * 200}}}
    return render_report(
        ReportInput(
            "run-1",
            meta,
            images,
            [finding, suspect, dull],
            examples=[example],
            comparison=comparison,
            provenance=provenance,
        )
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The report opened from file://; `page.heard` lists console messages, errors and requests to elsewhere."""
    if not CHROMIUM.exists():
        reason = f"no browser at {CHROMIUM}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(_report(), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        context = browser.new_context(offline=True, viewport={"width": 1366, "height": 768})
        opened = context.new_page()
        heard: list[str] = []
        opened.on("console", lambda message: heard.append(message.text))
        opened.on("pageerror", lambda error: heard.append(str(error)))
        opened.on("request", lambda r: heard.append(r.url) if not r.url.startswith(("file:", "data:")) else None)
        opened.goto(path.as_uri())
        opened.heard = heard  # type: ignore[attr-defined]
        yield opened
        browser.close()


def test_opens_in_silence_without_network(page: Page) -> None:
    assert page.heard == []  # type: ignore[attr-defined]
    assert page.title() == "Shortcut audit of A study with a rather long title that must wrap"


def test_sections_are_there_and_reachable(page: Page) -> None:
    headings = page.locator("h2").all_inner_texts()
    assert headings == [
        "Summary",
        "Question",
        "Data",
        "Method",
        "Result",
        "Limits",
        "Provenance",
    ]
    for link in page.locator("nav a").all():
        assert page.locator(str(link.get_attribute("href"))).count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_picture_loads_and_has_words(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.wait_for_function("[...document.images].every(i => i.complete)")
    widths = page.evaluate("[...document.images].map(i => i.naturalWidth)")
    assert len(widths) == 6
    assert min(widths) > 0
    assert page.evaluate("[...document.images].every(i => i.alt.length > 10)")


@pytest.mark.parametrize("width", [1366, 800, 420])
def test_nothing_scrolls_sideways(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 768})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_its_ground(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    colours = page.evaluate(
        """() => {
            const style = selector => getComputedStyle(document.querySelector(selector));
            const words = ['.faint', 'td', 'a', '.status-confirmed', '.status-suspected', '.status-not-confirmed'];
            const pairs = words.map(text => [text, 'section']).concat([['.banner', '.banner'], ['nav a', 'body']]);
            return pairs.map(([text, ground]) => [style(text).color, style(ground).backgroundColor]);
        }"""
    )
    for text, ground in colours:
        assert _contrast(text, ground) >= 4.5, f"{text} on {ground}"


def _contrast(first: str, second: str) -> float:
    """WCAG 2 contrast ratio of two CSS rgb() colours."""

    def luminance(colour: str) -> float:
        channels = np.array([float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted([luminance(first), luminance(second)])
    return (high + 0.05) / (low + 0.05)
