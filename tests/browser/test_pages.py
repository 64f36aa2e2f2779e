"""The pages of the review in a real browser: by key, by mouse, for screen readers, and with 100,000 images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from pipeline.review.backend import PlanPreview
from pipeline.review.store import Store, gallery, open_store
from pipeline.review.store.register import register
from pipeline.review.values import Actor, Filters
from tests.browser.served import READER, chromium, served
from tests.pipeline.review.study import IMAGES, RUN, Study, large_run, phantom_workspace
from tests.pipeline.review.web.api.fakes import FakeBackend

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

AUDIT = f"/audits/{RUN}"
PAGES = {
    "home": "/",
    "audit": AUDIT,
    "finding": f"{AUDIT}/findings/F01",
    "gallery": f"{AUDIT}/gallery",
    "agreement": f"{AUDIT}/agreement",
    "plan": f"{AUDIT}/plan",
    "log": "/log",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return phantom_workspace(tmp_path_factory.mktemp("pages") / "workspace")


@pytest.fixture
def store(tmp_path: Path, study: Study) -> Iterator[Store]:
    opened = open_store(tmp_path / "review.sqlite")
    register(opened, study.run, study.dataset)
    yield opened
    opened.dispose()


@pytest.fixture
def page(browser: Browser, store: Store, study: Study) -> Iterator[Page]:
    """Signed in, at the home page; fails where a page says something on the console or an error ends a script."""
    with served(store, study.workspace, Planning(study.dataset)) as link:
        yield from _let_in(browser, link)


class Planning(FakeBackend):
    """Has a plan that changes two images; both are of opacities, so PORTABLE stands on them."""

    def plan(self, run: Path) -> PlanPreview:
        samples = tuple(self.dataset.images["image_id"].astype(str)[1:4:2])
        return PlanPreview(possible=True, words=("2 images change.",), samples=samples)


def _let_in(browser: Browser, link: str, **options: Any) -> Iterator[Page]:
    base = link.partition("/?")[0]
    context = browser.new_context(base_url=base, viewport={"width": 1366, "height": 768}, **options)
    opened = context.new_page()
    heard: list[str] = []
    opened.on("console", lambda message: heard.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: heard.append(str(error)))
    opened.goto(link)
    yield opened
    context.close()
    assert heard == []


def _findings(store: Store) -> dict[str, Any]:
    with store.reading() as session:
        return {view.id: view for view in gallery.findings(session, RUN, Actor(name=READER, role="admin"))}


def test_no_page_has_a_serious_accessibility_issue(page: Page):
    found = []
    for name, address in PAGES.items():
        page.goto(address)
        page.wait_for_load_state("networkidle")
        for issue in Axe().run(page).response["violations"]:
            if issue["impact"] in ("serious", "critical"):
                found.append((name, issue["id"], issue["nodes"][0]["html"]))
    assert found == []


def test_no_page_scrolls_sideways(page: Page):
    wide = []
    for name, address in PAGES.items():
        page.goto(address)
        page.wait_for_load_state("networkidle")
        for width in (1366, 1024, 768):
            page.set_viewport_size({"width": width, "height": 768})
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wide.append((name, width))
    assert wide == []


def test_a_finding_is_decided_by_key_and_taken_back(page: Page, store: Store):
    page.goto(AUDIT)
    page.locator("#F01").focus()
    page.keyboard.press("c")
    page.keyboard.type("arrows are drawn later")
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.wait_for_selector("#F01 [data-review].decided")
    assert (_findings(store)["F01"].verdict, _findings(store)["F01"].review) == ("accepted", "decided")
    assert page.locator('#F01 [data-verdict="accepted"]').get_attribute("aria-pressed") == "true"
    page.keyboard.press("Control+z")
    page.wait_for_selector("#F01 [data-review].open")
    assert _findings(store)["F01"].verdict is None


def test_arrows_move_between_findings_and_only_the_focused_one_is_decided(page: Page, store: Store):
    page.goto(AUDIT)
    page.locator("#F01").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("r")
    page.wait_for_selector("#F02 [data-review].decided")
    found = _findings(store)
    assert (found["F01"].verdict, found["F02"].verdict) == (None, "rejected")
    assert page.evaluate("document.activeElement.id") == "F02"


def test_typing_a_comment_decides_nothing(page: Page, store: Store):
    page.goto(AUDIT)
    page.locator("#F01 [name=comment]").fill("")
    page.locator("#F01 [name=comment]").press_sequentially("arku")
    assert page.locator("#F01 [name=comment]").input_value() == "arku"
    assert all(view.verdict is None for view in _findings(store).values())


def test_what_names_no_region_cannot_be_accepted_and_says_why(page: Page, store: Store):
    [finding] = [each for each in _findings(store).values() if "accepted" not in each.decidable]
    page.goto(f"{AUDIT}/findings/{finding.id}")
    button = page.locator('[data-verdict="accepted"]')
    assert button.get_attribute("aria-disabled") == "true"
    assert "no regions" in page.locator(f"#{button.get_attribute('aria-describedby')}").inner_text()
    page.keyboard.press("a")
    page.keyboard.press("k")
    page.wait_for_selector("[data-review].decided")
    assert _findings(store)[finding.id].verdict == "keep"


def test_boxes_lie_on_the_marks(page: Page):
    """PORTABLE stands top right; the stored picture is letterboxed, so percent of the square are not percent of it."""
    page.goto(AUDIT)
    box = page.locator("#F01 .pictures rect").first
    assert float(box.get_attribute("x")) > 50
    assert 12 < float(box.get_attribute("y")) < 50


def test_settings_change_how_the_audit_is_read(page: Page, store: Store):
    page.goto(AUDIT)
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Two: both decide alone").check()
    with page.expect_navigation():
        page.get_by_role("button", name="Save").click()
    with store.reading() as session:
        assert gallery.audit(session, RUN).readers == 2


def test_filters_are_in_the_address_and_count_images(page: Page):
    page.goto(f"{AUDIT}/gallery")
    page.wait_for_selector(".cell a[href]")
    assert page.locator("#total").inner_text() == f"{IMAGES} images"
    expect(page.locator("#filter-kind option[value=arrow]")).to_have_text("arrow (8)")
    page.locator("#filter-kind").select_option("arrow")
    expect(page.locator("#total")).to_have_text("8 images")
    assert page.url.endswith("?kind=arrow")
    assert "?kind=arrow" in page.locator(".cell a").first.get_attribute("href")
    page.reload()
    expect(page.locator("#total")).to_have_text("8 images")


def test_selected_images_are_decided_together(page: Page, store: Store):
    page.goto(f"{AUDIT}/gallery?kind=arrow")
    page.wait_for_selector(".cell a[href]")
    page.locator("#filter-kind").evaluate("each => each.blur()")
    page.keyboard.press("Home")
    page.keyboard.press("x")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+X")
    expect(page.locator("#selected")).to_have_text("3 selected")
    page.keyboard.press("d")
    page.wait_for_selector("#decide-kind option[value=arrow]", state="attached")
    page.locator("#decide-kind").select_option("arrow")
    expect(page.locator("#reach")).to_have_text("Reaches 3 regions on 3 images.")
    page.get_by_label("Reject").check()
    page.locator("#decide-now").click()
    page.wait_for_selector(".notice.done")
    with store.reading() as session:
        facets = gallery.facets(session, RUN, Filters(kind="arrow"), hidden=False)
    assert {each.value: each.images for each in facets["status"]} == {"open": 5, "decided": 3}


def test_a_repair_is_started_watched_and_cancelled(page: Page, store: Store):
    page.goto(f"{AUDIT}/plan")
    page.wait_for_selector("#start:enabled")
    page.locator("#start").click()
    page.locator('#confirm button[value="start"]').click()
    page.wait_for_selector("#cancel:visible")
    assert page.locator("#start").is_disabled()
    page.reload()
    page.wait_for_selector("#cancel:visible")
    page.locator("#cancel").click()
    expect(page.locator("#job-state")).to_have_text("cancelled")


def test_samples_show_both_states_of_an_image(page: Page):
    page.goto(f"{AUDIT}/findings/F01")
    page.keyboard.press("a")
    page.wait_for_selector("[data-review].decided")
    page.goto(f"{AUDIT}/plan")
    page.wait_for_selector("#samples .pair[data-drawn]")
    differ = page.evaluate(
        """() => {
          const [before, after] = [...document.querySelectorAll("#samples .pair")[0].children].map(
            (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data);
          return before.some((value, index) => value !== after[index]);
        }"""
    )
    assert differ


@pytest.mark.slow
def test_a_gallery_of_100_000_images_is_there_at_once_and_reaches_its_end(
    browser: Browser, tmp_path: Path, study: Study
):
    """Holds loosely what docs/performance.md reports: other tests may share the machine."""
    store = open_store(tmp_path / "large.sqlite")
    run = large_run(store, 100_000)
    with served(store, study.workspace, FakeBackend(study.dataset)) as link:
        for page in _let_in(browser, link):
            page.route(
                "**/thumbnail*", lambda route: route.fulfill(status=200, content_type="image/svg+xml", body="<svg/>")
            )
            page.goto(f"/audits/{run}/gallery")
            page.wait_for_selector(".cell a[href]")
            page.goto(f"/audits/{run}/gallery")  # now that the server knows the audit
            page.wait_for_selector(".cell a[href]")
            painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            assert painted < 2000
            assert page.locator(".cell").count() < 100
            page.keyboard.press("End")
            page.wait_for_selector('.cell[data-index="99999"] a[href]')
            assert page.evaluate("document.activeElement.closest('.cell').dataset.index") == "99999"
    store.dispose()
