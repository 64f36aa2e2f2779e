"""The image view's logic, in the engine that runs it: known answers for windows, geometry, keys, unsaved decisions."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")
STATIC = Path(str(files("pipeline.review.web"))) / "static"
pytestmark = pytest.mark.browser

SQUARE = {"x0": 0, "y0": 0, "x1": 100, "y1": 100}
TRANSFORM = {"scale": 0.5, "pad_x": 10, "pad_y": 0, "width": 160, "height": 200}


class _Quiet(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".js": "text/javascript"}

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    if not CHROMIUM.is_file():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{CHROMIUM} is missing: apt-get install chromium")
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(STATIC)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        opened = browser.new_page()
        opened.goto(f"http://127.0.0.1:{server.server_port}/icon.svg")
        opened.goto(f"http://127.0.0.1:{server.server_port}/viewer/")
        yield opened
        browser.close()
    server.shutdown()
    thread.join()
    server.server_close()


def _run(page: Page, module: str, body: str, given: Any = None) -> Any:
    """What `body` returns, with the exports of `module` as `m` and `given` as `given`."""
    return page.evaluate(f"async (given) => {{ const m = await import('/{module}'); {body} }}", given)


@pytest.mark.parametrize(
    ("event", "chord"),
    [
        ({"key": "a"}, "A"),
        ({"key": "A", "shiftKey": True}, "Shift+A"),
        ({"key": "A"}, "A"),  # caps lock
        ({"key": "z", "ctrlKey": True}, "Ctrl+Z"),
        ({"key": "z", "metaKey": True}, "Ctrl+Z"),
        ({"key": "Z", "ctrlKey": True, "shiftKey": True}, "Ctrl+Shift+Z"),
        ({"key": "?", "shiftKey": True}, "?"),
        ({"key": "+", "shiftKey": True}, "+"),
        ({"key": " "}, "Space"),
        ({"key": "ArrowLeft", "shiftKey": True}, "Shift+ArrowLeft"),
        ({"key": "Shift", "shiftKey": True}, "Shift"),
        ({"key": "Control", "ctrlKey": True}, None),
        ({"key": "Dead"}, None),
    ],
)
def test_a_key_press_is_one_chord_on_every_keyboard(page: Page, event: dict[str, Any], chord: str | None) -> None:
    assert _run(page, "chords.js", "return m.chordOf(given)", event) == chord


def test_chords_are_read_however_they_are_written(page: Page) -> None:
    body = "return [m.chordsOf('n ArrowRight'), m.chordsOf('shift+a + ='), m.normalChord('Ctrl++')]"
    assert _run(page, "chords.js", body) == [["N", "ArrowRight"], ["Shift+A", "+", "="], "Ctrl++"]


def test_sixteen_bits_are_decoded_as_sixteen_bits(page: Page) -> None:
    values = np.array([0, 1, 255, 256, 40_000, 65_535], dtype="<u2")
    body = "return Array.from(m.decode(new Uint8Array(given).buffer, 'uint16'))"
    assert _run(page, "viewer/pixels.js", body, list(values.tobytes())) == values.tolist()


def test_percentiles_leave_padding_and_what_the_mask_hides_out(page: Page) -> None:
    body = """
      const pixels = new Uint16Array(100).map((_, i) => 600 * i);  // 10 x 10, rising
      const share = (box, p, mask) => m.percentile(m.histogram(pixels, 10, box, mask), p);
      const all = {x0: 0, y0: 0, x1: 10, y1: 10};
      const left = {values: Uint8Array.from([1, 0, 1, 0]), size: 2};  // the left half, at another resolution
      return [share(all, 0), share(all, 0.5), share(all, 1), share({...all, y0: 9}, 0),
        m.histogram(pixels, 10, all, left).reduce((a, b) => a + b), share({x0: 0, y0: 0, x1: 10, y1: 1}, 1, left),
        share({x0: 0, y0: 0, x1: 0, y1: 0}, 0.5)];
    """
    assert _run(page, "viewer/pixels.js", body) == [0, 600 * 49, 600 * 99, 600 * 90, 50, 600 * 4, None]


def test_a_window_spreads_its_values_over_all_greys(page: Page) -> None:
    body = """
      const grey = (table, value) => table[value] & 255;
      const plain = m.lookup({low: 1000, high: 1255}, false, 65535);
      const turned = m.lookup({low: 1000, high: 1255}, true, 65535);
      const greys = new Set(plain.slice(1000, 1256));
      return [plain.length, grey(plain, 999), grey(plain, 1000), grey(plain, 1100), grey(plain, 1255),
        grey(plain, 65535), grey(turned, 0), grey(turned, 1100), grey(turned, 1255), greys.size,
        plain[0], plain[65535]];
    """
    expected = [65536, 0, 0, 100, 255, 255, 255, 155, 0, 256, 0xFF000000, 0xFFFFFFFF]
    assert _run(page, "viewer/windows.js", body) == expected


def test_presets_are_computed_from_the_stored_values_of_the_picture(page: Page) -> None:
    body = """
      const size = 100;
      const row = (i) => Math.floor(i / size);
      // Padding 0 left of column 20; beside it the values rise with the row, from 1000. Lungs: rows 30 to 39.
      const pixels = new Uint16Array(size * size).map((_, i) => (i % size < 20 ? 0 : 1000 + 100 * row(i)));
      const lungs = {values: new Uint8Array(size * size).map((_, i) => row(i) >= 30 && row(i) < 40), size};
      return m.presets(pixels, size, {x0: 20, y0: 0, x1: 100, y1: 100}, lungs).map(({low, high}) => [low, high]);
    """
    full, most, middle, dense, lungs = _run(page, "viewer/windows.js", body)
    assert full == [1000, 10_900]
    assert most == [1000, 10_800]
    assert middle == [1400, 10_400]
    assert dense == [4900, 10_900]
    assert lungs == [4000, 4900]


def test_without_lungs_the_lung_window_is_that_of_the_middle(page: Page) -> None:
    body = """
      const pixels = new Uint8Array(10000).map((_, i) => Math.floor(i / 100));
      return m.presets(pixels, 100, {x0: 0, y0: 0, x1: 100, y1: 100}, null)[4];
    """
    assert _run(page, "viewer/windows.js", body) == {"low": 20, "high": 68}


def test_a_flat_picture_still_has_a_window(page: Page) -> None:
    body = "return m.presets(new Uint8Array(16).fill(7), 4, {x0: 0, y0: 0, x1: 4, y1: 4}, null)[0]"
    assert _run(page, "viewer/windows.js", body) == {"low": 7, "high": 8}


def test_dragging_widens_to_the_right_and_darkens_downwards(page: Page) -> None:
    body = "return [[40, 0], [0, 30]].map(([dx, dy]) => m.dragged({low: 100, high: 200}, dx, dy, 400, 65535))"
    assert _run(page, "viewer/windows.js", body) == [{"low": 80, "high": 220}, {"low": 130, "high": 230}]


def test_saliency_has_the_colours_of_inferno(page: Page) -> None:
    steps = np.linspace(0, 1, 101)
    shown = np.array(_run(page, "viewer/colours.js", "return given.map(m.inferno)", steps.tolist()))
    true = np.asarray(mpl.colormaps["inferno"](steps))[:, :3] * 255
    assert np.abs(shown - true).max() < 8  # of 255: seen by nobody
    assert (np.diff(shown @ [0.2126, 0.7152, 0.0722]) >= 0).all()


def test_weak_saliency_lets_the_picture_through(page: Page) -> None:
    body = "const rgba = m.coloured(Float32Array.from([0, 0.25, 1, 3]), 1); return [3, 7, 11, 15].map((i) => rgba[i])"
    assert _run(page, "viewer/colours.js", body) == [0, 64, 255, 255]


def test_boxes_go_to_the_stored_square_and_back(page: Page) -> None:
    box = {"x0": 20, "y0": 40, "x1": 60, "y1": 100}
    body = "const s = m.toStored(given.box, given.t); return [s, m.toOriginal(s, given.t), m.picture(given.t)]"
    stored, back, picture = _run(page, "viewer/geometry.js", body, {"box": box, "t": TRANSFORM})
    assert stored == {"x0": 20, "y0": 20, "x1": 40, "y1": 50}
    assert back == box
    assert picture == {"x0": 10, "y0": 0, "x1": 90, "y1": 100}


def test_what_is_under_the_cursor_stays_there_while_zooming(page: Page) -> None:
    body = """
      const pane = {width: 400, height: 300}, cursor = {x: 320, y: 90}, view = m.fitted(given);
      const before = m.fromScreen(cursor, view, pane, given);
      const near = m.zoomedAt(view, 3, cursor, pane, given);
      return [view, before, m.fromScreen(cursor, near, pane, given), near.zoom, m.toScreen(before, near, pane, given),
        m.zoomedAt(view, 1e9, cursor, pane, given).zoom];
    """
    view, before, after, zoom, screen, most = _run(page, "viewer/geometry.js", body, SQUARE)
    assert view == {"zoom": 1, "x": 50, "y": 50}
    assert before == {"x": 90, "y": 30}  # 300 px for 100 stored pixels: 3 a pixel
    assert after == pytest.approx(before)
    assert (zoom, most) == (3, 32)
    assert screen == pytest.approx({"x": 320, "y": 90})


def test_boxes_stay_in_the_picture_and_are_never_empty(page: Page) -> None:
    body = """
      const box = {x0: 10, y0: 10, x1: 30, y1: 40}, size = {width: 100, height: 50};
      return [m.moved(box, -50, 5, size), m.moved(box, 200, 200, size), m.resized(box, 'nw', 100, -100, size),
        m.resized(box, 'e', 500, 0, size), m.resized(box, 's', 0, -500, size),
        m.whole({x0: 1.4, y0: 1.6, x1: 1.4, y1: 9.5})];
    """
    corners = [tuple(box[name] for name in ("x0", "y0", "x1", "y1")) for box in _run(page, "viewer/geometry.js", body)]
    assert corners == [
        (0, 15, 20, 45),
        (80, 20, 100, 50),
        (29, 0, 30, 40),
        (10, 10, 100, 40),
        (10, 10, 30, 11),
        (1, 2, 2, 10),
    ]


def test_the_smallest_box_and_the_nearest_handle_are_hit(page: Page) -> None:
    body = """
      const boxes = [{x0: 0, y0: 0, x1: 100, y1: 100}, {x0: 40, y0: 40, x1: 60, y1: 60}];
      const at = (x, y) => m.boxAt({x, y}, boxes, 2);
      const handle = (x, y) => m.handleAt({x, y}, boxes[1], 6);
      return [at(50, 50), at(10, 10), at(61, 50), at(200, 5),
        handle(41, 38), handle(50, 63), handle(63, 51), handle(50, 50)];
    """
    assert _run(page, "viewer/geometry.js", body) == [1, 0, 1, -1, "nw", "s", "e", None]


REGIONS = [
    {"region_id": "a", "kind": "side", "text": "R", "place": "top-left", "cluster": "1", "finding": "F1"},
    {"region_id": "b", "kind": "side", "text": "R", "place": "top-left", "cluster": "2", "finding": "F1"},
    {"region_id": "c", "kind": "side", "text": "L", "place": "top-left", "cluster": "1", "finding": "F2"},
    {"region_id": "d", "kind": "arrow", "text": None, "place": "top-left", "cluster": None, "finding": None},
]
VIEW = {"image_id": "i", "regions": [region | {"own": None, "verdict": None, "status": "open"} for region in REGIONS]}


@pytest.mark.parametrize(
    ("region", "scope", "reached"),
    [
        (0, "region", "a"),
        (0, "image", "abcd"),
        (0, "same-text-and-place", "ab"),
        (0, "same-cluster", "ac"),
        (0, "finding", "ab"),
        (3, "same-cluster", "d"),  # no cluster: alike with nothing but itself
        (3, "finding", ""),
    ],
)
def test_a_scope_reaches_the_same_regions_as_on_the_server(page: Page, region: int, scope: str, reached: str) -> None:
    given = {"region": REGIONS[region], "scope": scope, "regions": REGIONS}
    body = "return m.reachedHere(given.region, given.scope, given.regions).map((r) => r.region_id).join('')"
    assert _run(page, "viewer/pending.js", body, given) == reached


def test_what_is_not_saved_is_shown_and_named_so(page: Page) -> None:
    box = {"x0": 1, "y0": 2, "x1": 3, "y1": 4}
    requests = [
        {"key": "1", "image": "i", "effect": {"type": "decide", "region": "a", "scope": "finding", "verdict": "keep"}},
        {"key": "2", "image": "i", "effect": {"type": "change", "region": "c", "box": box}},
        {"key": "3", "image": "other", "effect": {"type": "delete", "region": "d"}},
        {"key": "4", "image": "i", "effect": {"type": "draw", "kind": "ruler", "box": box}},
        {"key": "5", "image": "i"},
    ]
    body = "return [m.withPending(given.view, given.requests), given.view]"
    shown, untouched = _run(page, "viewer/pending.js", body, {"view": VIEW, "requests": requests})
    assert [region["verdict"] for region in shown] == ["keep", "keep", None, None, None]
    assert [region.get("unsaved", False) for region in shown] == [True, True, True, False, True]
    assert shown[2]["box"] == box
    assert (shown[4]["region_id"], shown[4]["kind"]) == ("new-4", "ruler")
    assert untouched == VIEW


def test_the_way_through_the_regions_skips_what_is_decided(page: Page) -> None:
    body = """
      const regions = given.regions.map((r, i) => (i === 1 ? {...r, own: 'keep', status: 'decided'} : r));
      return [m.nextOpen(regions, 'a'), m.nextOpen(regions, 'd'), m.nextOpen([regions[1]], 'b'),
        m.stepFrom(regions, 'd', 1), m.stepFrom(regions, 'd', 1, false), m.stepFrom(regions, null, -1),
        m.stepFrom([], null, 1)];
    """
    assert _run(page, "viewer/pending.js", body, VIEW) == ["c", "a", None, "a", None, "d", None]


def test_what_may_be_needed_clinically_is_not_accepted_with_the_rest(page: Page) -> None:
    regions = [region | {"held_back": None} for region in VIEW["regions"]]
    regions[1]["kind"], regions[2]["held_back"], regions[3]["own"] = "device", "in-lungs", "keep"
    body = "return given.filter(m.isSuggested).map((region) => region.region_id)"
    assert _run(page, "viewer/pending.js", body, regions) == ["a"]


OUTBOX = """
  const {ApiError} = await import('/api.js');
  const sent = [], told = [];
  const answers = [];
  const box = new m.Outbox('test', async (method, path, body) => {
    sent.push(body.key);
    const answer = answers.shift() ?? 200;
    if (answer !== 200) throw new ApiError(answer, {message: 'no'});
    return {versions: {}};
  });
  box.addEventListener('saved', ({detail}) => told.push(`saved ${detail.request.key}`));
  box.addEventListener('refused', ({detail}) => told.push(`refused ${detail.request.key} ${detail.error.status}`));
  const settle = () => new Promise((resolve) => setTimeout(resolve, 20));
  const add = (key) => box.add({key, method: 'POST', path: '/x', body: {key}, image: 'i', words: key});
"""


def test_a_request_without_an_answer_is_sent_again_under_its_key_and_before_the_others(page: Page) -> None:
    body = f"""{OUTBOX}
      answers.push(0, 503);
      add('one'); add('two');
      await settle();
      const kept = [box.pending.length, box.trouble.status, JSON.parse(sessionStorage.getItem('test')).length];
      box.now(); await settle(); box.now(); await settle();
      return [kept, sent, told, box.pending.length, box.trouble];
    """
    kept, sent, told, left, trouble = _run(page, "viewer/outbox.js", body)
    assert kept == [2, 0, 2]
    assert sent == ["one", "one", "one", "two"]
    assert told == ["saved one", "saved two"]
    assert (left, trouble) == (0, None)


def test_a_refused_request_is_told_and_does_not_hold_up_the_next(page: Page) -> None:
    body = f"{OUTBOX} answers.push(409); add('one'); add('two'); await settle(); return [sent, told, box.pending]"
    assert _run(page, "viewer/outbox.js", body) == [["one", "two"], ["refused one 409", "saved two"], []]


def test_what_was_not_saved_is_sent_after_a_reload(page: Page) -> None:
    body = f"""{OUTBOX}
      sessionStorage.setItem('test', JSON.stringify([{{key: 'old', body: {{key: 'old'}}, image: 'i', words: ''}}]));
      box.resume(); await settle();
      return [sent, told, sessionStorage.getItem('test')];
    """
    assert _run(page, "viewer/outbox.js", body) == [["old"], ["saved old"], "[]"]


def test_deciding_one_finding_is_no_look_at_another(page: Page) -> None:
    body = """async () => {
      const add = (parent, tag, set = {}) => parent.appendChild(Object.assign(document.createElement(tag), set));
      const root = add(document.body, 'div');
      for (const id of ['data', 'announce', 'notices']) add(root, 'div', {id});
      document.getElementById('data').textContent = JSON.stringify({run: 'r1', revision: 5});
      const card = (id) => {
        const made = add(root, 'article');
        made.dataset.finding = id;
        add(made, 'button').dataset.verdict = 'keep';
        add(made, 'input', {name: 'comment'});
        add(made, 'span').dataset.review = '';
        return made;
      };
      const [first, second] = [card('F01'), card('F02')];
      const sent = [], fetched = window.fetch;
      window.fetch = async (address, {method, body}) => {
        const asked = body && JSON.parse(body);
        if (asked) sent.push([address.split('/').pop(), asked.target?.finding ?? null, asked.revision ?? null]);
        return new Response(JSON.stringify({revision: 7, id: 'F01', review: 'decided', verdict: 'keep', own: 'keep'}));
      };
      const m = await import('/decide.js');
      for (const each of [first, second, first]) await m.decide(each, 'keep');
      await m.step('undo');
      await m.decide(second, 'keep');
      window.fetch = fetched;
      root.remove();
      return sent;
    }"""
    assert page.evaluate(body) == [
        ["decisions", "F01", 5],
        ["decisions", "F02", 5],
        ["decisions", "F01", 7],
        ["undo", None, None],
        ["decisions", "F02", 7],
    ]


def test_what_many_ask_for_at_once_is_asked_for_again(page: Page) -> None:
    body = """
      const fetched = window.fetch, sent = [];
      window.fetch = async (address, {method = 'GET'}) => {
        sent.push(method);
        const status = sent.length < 3 ? 429 : 200;
        return new Response('{"done": true}', {status, headers: {'Retry-After': '0.01'}});
      };
      const got = [await m.call('GET', '/plan'), (await m.raw('/x')).status];
      sent.length = 0;
      const refused = await m.call('POST', '/login', {}).catch((error) => error.status);
      window.fetch = fetched;
      return [...got, refused, sent];
    """
    assert _run(page, "api.js", body) == [{"done": True}, 200, 429, ["POST"]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ann", ["POST old", "GET", "POST new", {"done": True}]),
        ("ben", ["POST old", "GET", [401, "ben is signed in now. Sign in as ann again."]]),
    ],
)
def test_after_signing_in_again_what_is_not_saved_is_saved_for_who_did_it(
    page: Page, name: str, expected: list[Any]
) -> None:
    body = """
      const meta = Object.assign(document.createElement('meta'), {name: 'csrf-token', content: 'old'});
      document.head.append(meta);
      meta.dataset.actor = 'ann';
      const sent = [], fetched = window.fetch;
      window.fetch = async (address, {method = 'GET', headers = {}}) => {
        const token = headers['X-CSRF-Token'];
        sent.push([method, token].filter(Boolean).join(' '));
        if (method === 'GET') return new Response(JSON.stringify({name: given}), {headers: {'X-CSRF-Token': 'new'}});
        return new Response(JSON.stringify(token === 'new' ? {done: true} : {}), {status: token === 'new' ? 200 : 403});
      };
      const end = await m.call('POST', '/x', {}).catch((error) => [error.status, error.message]);
      window.fetch = fetched;
      meta.remove();
      return [...sent, end];
    """
    assert _run(page, "api.js", body, name) == expected


def test_an_address_names_image_region_and_filters(page: Page) -> None:
    body = """
      const place = m.placeOf({pathname: '/audits/r1/images/ab', search: '?status=open&sort=row&region=0f'});
      return [place.run, place.image, place.region, place.filters.toString(), m.addressOf(place), m.galleryOf(place),
        m.filterWords(place.filters)];
    """
    assert _run(page, "viewer/address.js", body) == [
        "r1",
        "ab",
        "0f",
        "status=open&sort=row",
        "/audits/r1/images/ab?status=open&sort=row&region=0f",
        "/audits/r1/gallery?status=open&sort=row",
        "status open",
    ]


def test_a_wide_decision_says_how_far_it_reaches(page: Page) -> None:
    given = {"regions": 1231, "images": 198, "decided": 12, "by_others": 3}
    words = "Reaches 1,231 regions on 198 images, 12 already decided by you, 3 decided by others."
    assert _run(page, "viewer/words.js", "return m.reachWords(given)", given) == words


KEYED = """
  document.body.replaceChildren();
  const input = document.body.appendChild(document.createElement('input'));
  const button = document.body.appendChild(document.createElement('button'));
  const fired = window.fired = [];
  const note = (name) => () => { fired.push(name); };
  window.unbind?.();
  window.unbind = m.bind({A: note('A'), 'Shift+A': note('Shift+A'), Space: note('Space'), '+ =': note('+'),
    N: {run: note('N'), repeat: true}, Shift: {hold: true, run: note('down'), release: note('up')}});
"""


def test_no_key_fires_while_a_person_types(page: Page) -> None:
    _run(page, "keys.js", KEYED)
    page.focus("input")
    page.keyboard.type("a n+")
    assert page.evaluate("[fired.slice(), document.querySelector('input').value]") == [[], "a n+"]
    page.focus("button")
    page.keyboard.press("Space")  # belongs to the button
    page.keyboard.press("a")
    page.keyboard.press("Shift+A")
    page.keyboard.press("=")
    assert page.evaluate("fired.slice()") == ["A", "down", "Shift+A", "up", "+"]


def test_a_key_that_is_held_fires_once_unless_it_may_repeat(page: Page) -> None:
    _run(page, "keys.js", KEYED)
    page.focus("button")
    for key in ("a", "n"):
        page.keyboard.down(key)
        page.keyboard.down(key)
        page.keyboard.up(key)
    assert page.evaluate("fired.slice()") == ["A", "N", "N"]


def test_keys_are_remapped_and_none_gets_two_actions(page: Page) -> None:
    body = f"""{KEYED}
      localStorage.clear();
      const taken = m.remap('A', 'N')?.id;
      const free = m.remap('A', 'q');
      return [taken, free, m.chordFor('A'), localStorage.getItem('keys')];
    """
    assert _run(page, "keys.js", body) == ["N", None, "Q", '{"A":"q"}']
    page.focus("button")
    page.keyboard.press("a")
    page.keyboard.press("q")
    page.keyboard.press("?")  # the list of keys: nothing else fires while it is open
    page.keyboard.press("q")
    page.keyboard.press("Escape")
    assert page.evaluate("fired.slice()") == ["A"]
    page.evaluate("localStorage.clear()")
