"""People with accounts in browsers of their own: two who decide alone, one who settles, one who only looks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from pipeline.review.store import Store, open_store
from pipeline.review.store.readers import settings
from pipeline.review.store.register import register
from pipeline.review.store.tables import Region
from pipeline.review.values import Role, SettingsRequest
from tests.browser.served import PASSWORD, chromium, served_to_accounts
from tests.pipeline.review.study import RUN, Study, image_id, phantom_workspace
from tests.pipeline.review.web.api.fakes import FakeBackend

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

PEOPLE: dict[str, Role] = {"ann": "reviewer", "ben": "reviewer", "boss": "admin", "vic": "viewer"}
AUDIT = f"/audits/{RUN}"
LATE = """() => {
  const asked = window.fetch;
  window.fetch = async (address, request) => {
    if (request?.method === "GET") await new Promise((resolve) => setTimeout(resolve, 500));
    return asked(address, request);
  };
}"""
"""What the page asks for comes late, what it sends does not."""
ROW = 3  # an image with a side marker, a position word and an arrow
IMAGE = f"{AUDIT}/images/{image_id(RUN, ROW)}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return phantom_workspace(tmp_path_factory.mktemp("readers") / "workspace")


@pytest.fixture
def store(tmp_path: Path, study: Study) -> Iterator[Store]:
    opened = open_store(tmp_path / "review.sqlite")
    register(opened, study.run, study.dataset)
    yield opened
    opened.dispose()


@pytest.fixture
def address(store: Store, study: Study) -> Iterator[str]:
    with served_to_accounts(store, study.workspace, FakeBackend(study.dataset), PEOPLE) as base:
        yield base


@pytest.fixture
def regions(study: Study) -> dict[str, str]:
    """Kind -> the one region of that kind on the image."""
    found = study.regions
    here = found[found["image_id"] == image_id(RUN, ROW)]
    return dict(zip(here["kind"], here["region_id"], strict=True))


@contextmanager
def _person(browser: Browser, address: str, name: str) -> Iterator[Page]:
    """Signed in by the form, on the image that was asked for; nothing may end a script."""
    context = browser.new_context(base_url=address, viewport={"width": 1366, "height": 768})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(IMAGE)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{IMAGE}*")
    _there(page)
    yield page
    context.close()
    assert errors == []


def _there(page: Page) -> None:
    page.wait_for_selector("#viewer:not([aria-busy])")
    page.wait_for_selector("#regions > li")


def _decide(page: Page, region: str, verdict: str) -> None:
    """By the letter beside the region; the answer is waited for."""
    page.locator("#auto-advance").uncheck()
    page.locator(f'[data-focus="name-{region}"]').click()
    with page.expect_response(lambda answer: answer.url.endswith("/decisions")) as answered:
        page.locator(f'[data-focus="{verdict}-{region}"]').click()
    assert answered.value.status == 200
    expect(page.locator("#saved")).to_have_text(re.compile("^All saved"))


def _verdict(store: Store, region: str) -> tuple[str | None, str]:
    with store.reading() as session:
        found = session.get_one(Region, (RUN, region))
        return found.verdict, found.status


def _two_readers(store: Store) -> None:
    with store.writing() as session:
        settings(session, RUN, SettingsRequest(readers=2))


def _told(page: Page) -> str:
    """All that the server says about the image and the audit to this person: pages, API and exports."""
    below = [IMAGE, f"{IMAGE}/history", *(f"{AUDIT}/{name}" for name in ("conflicts", "agreement", "findings"))]
    below += [f"{AUDIT}/export/decisions.csv", f"{AUDIT}/export/decisions.json", f"{AUDIT}/images?limit=100"]
    asked = [AUDIT, f"{AUDIT}/agreement", *(f"/api{path}" for path in below)]
    answers = [page.request.get(path) for path in asked]
    assert [answer.status for answer in answers] == [200] * len(asked)
    return "\n".join(answer.text() for answer in answers)


def test_two_readers_decide_alone_and_an_admin_settles(
    browser: Browser, address: str, store: Store, regions: dict[str, str]
) -> None:
    _two_readers(store)
    with (
        _person(browser, address, "ann") as ann,
        _person(browser, address, "ben") as ben,
        _person(browser, address, "boss") as boss,
    ):
        ann.locator("#comment").fill("drawn later, says ann")
        for kind, verdict in {"arrow": "accepted", "position": "accepted", "side": "rejected"}.items():
            _decide(ann, regions[kind], verdict)

        for other in (ben, boss):
            other.reload()
            _there(other)
            expect(other.locator('#regions [aria-pressed="true"]')).to_have_count(0)
            assert _verdict(store, regions["arrow"]) == (None, "second")
            told = _told(other)
            assert "says ann" not in told
            assert not re.search(r'"(accepted|rejected)","comment"|"verdict": ?"(accepted|rejected)"', told)
        assert "says ann" in _told(ann)

        for kind, verdict in {"arrow": "rejected", "position": "accepted", "side": "rejected"}.items():
            _decide(ben, regions[kind], verdict)
        assert {kind: _verdict(store, regions[kind]) for kind in regions} == {
            "arrow": (None, "conflict"),
            "position": ("accepted", "decided"),
            "side": ("rejected", "decided"),
        }

        boss.goto(f"{AUDIT}/agreement")
        # 2 of 3 agree, by chance 4 of 9 would: (2/3 - 4/9) / (1 - 4/9)
        expect(boss.locator(".kappa")).to_have_text("κ = 0.40")
        expect(boss.get_by_text("N = 3")).to_be_visible()
        expect(boss.locator("table", has=boss.locator(".button"))).to_contain_text("ann: shortcut: remove")
        expect(boss.locator("table", has=boss.locator(".button"))).to_contain_text("ben: false alarm")
        serious = [each for each in Axe().run(boss).response["violations"] if each["impact"] in ("serious", "critical")]
        assert [each["id"] for each in serious] == []

        boss.get_by_role("link", name="Settle").click()
        _there(boss)
        expect(boss.locator("#what")).to_contain_text("arrow")
        _decide(boss, regions["arrow"], "keep")
        assert _verdict(store, regions["arrow"]) == ("keep", "decided")
        boss.goto(f"{AUDIT}/agreement")
        expect(boss.get_by_text("no two readers disagree")).to_be_visible()
        expect(boss.locator(".kappa")).to_have_text("κ = 0.40")


def test_who_comes_second_is_told_and_may_decide_all_the_same(
    browser: Browser, address: str, store: Store, regions: dict[str, str]
) -> None:
    arrow = regions["arrow"]
    with _person(browser, address, "ann") as ann, _person(browser, address, "ben") as ben:
        _decide(ann, arrow, "accepted")
        ben.locator("#auto-advance").uncheck()
        ben.locator(f'[data-focus="name-{arrow}"]').click()
        ben.locator("#comment").fill("a vessel, not an arrow")
        ben.evaluate(LATE)
        ben.locator('#decide [data-verdict="rejected"]').click()
        banner = ben.locator("#banner")
        expect(banner).to_contain_text("Not saved")
        expect(banner).to_contain_text("ann accepted the arrow")
        expect(ben.locator("#comment")).to_have_value("a vessel, not an arrow")
        assert _verdict(store, arrow) == ("accepted", "decided")

        banner.get_by_role("button", name="Do it all the same").click()
        expect(ben.locator("#saved")).to_have_text(re.compile("^All saved"))
        expect(banner).to_be_hidden()
        expect(ben.locator("#comment")).to_have_value("")
        assert _verdict(store, arrow) == ("rejected", "decided")
        assert "a vessel, not an arrow" in ann.request.get(f"/api{IMAGE}/history").text()


def test_a_viewer_finds_nothing_to_decide_with(
    browser: Browser, address: str, store: Store, regions: dict[str, str]
) -> None:
    with _person(browser, address, "vic") as vic:
        for control in ("#decide", "#tag", "#accept-all", "#regions .letter", '[data-tool="edit"]'):
            expect(vic.locator(control)).to_have_count(0)
        vic.locator("#stage").focus()
        vic.keyboard.press("j")
        vic.keyboard.press("a")
        expect(vic.locator("#said")).to_contain_text("not decide")
        assert _verdict(store, regions["arrow"]) == (None, "open")
        vic.goto(AUDIT)
        expect(vic.locator("[data-finding]").first).to_be_visible()
        assert not vic.locator("[data-verdict]:not([aria-disabled=true]):visible").count()
        vic.goto(f"{AUDIT}/plan")
        expect(vic.locator("#start:enabled")).to_have_count(0)
        vic.goto("/log")
        expect(vic.locator("h1")).to_have_text("Not allowed")


def test_what_was_decided_while_signed_out_is_saved_after_signing_in_again(
    browser: Browser, address: str, store: Store, regions: dict[str, str]
) -> None:
    arrow = regions["arrow"]
    with _person(browser, address, "ann") as ann:
        elsewhere = ann.context.new_page()
        elsewhere.goto(AUDIT)
        elsewhere.get_by_role("button", name="Sign out").click()
        elsewhere.wait_for_url("**/login*")
        ann.locator("#auto-advance").uncheck()
        ann.locator(f'[data-focus="rejected-{arrow}"]').click()
        expect(ann.locator("#saved")).to_have_text("1 not saved: signed out")
        expect(ann.locator("#banner")).to_contain_text("You were signed out")
        assert _verdict(store, arrow) == (None, "open")

        with ann.context.expect_page() as opened:
            ann.get_by_role("link", name="Sign in in a new tab").click()
        opened.value.get_by_label("Name").fill("ann")
        opened.value.get_by_label("Password").fill(PASSWORD)
        opened.value.get_by_role("button", name="Sign in").click()
        expect(opened.value.get_by_role("heading", name="Audits")).to_be_visible()
        ann.evaluate("() => window.dispatchEvent(new Event('online'))")  # it tries again by itself, but later
        expect(ann.locator("#saved")).to_have_text(re.compile("^All saved"))
        assert _verdict(store, arrow) == ("rejected", "decided")
