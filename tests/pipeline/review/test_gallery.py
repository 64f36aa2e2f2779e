"""The gallery against its definition: every filter looked up, and a memory never older than the database."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from sqlalchemy import select

from pipeline.review.store import Store, gallery, open_store
from pipeline.review.store.catalogue import catalogue
from pipeline.review.store.conflict import Missing
from pipeline.review.store.decisions import decide
from pipeline.review.store.edits import change, delete, draw, tag
from pipeline.review.store.history import redo, undo
from pipeline.review.store.readers import settings
from pipeline.review.store.tables import Finding, Item, Region
from pipeline.review.values import (
    Actor,
    BoxValue,
    ChangeRequest,
    DecisionRequest,
    DeleteRequest,
    DrawRequest,
    Filters,
    SettingsRequest,
    StepRequest,
    TagRequest,
    Target,
    Verdict,
)
from tests.pipeline.review.study import image_id, large_run, region_id

ANN, BEN, CY = Actor(name="ann", role="reviewer"), Actor(name="ben", role="reviewer"), Actor(name="cy", role="admin")
RUN = "synthetic"
IMAGES = 60
CHOICES: dict[str, Any] = {
    "kind": "arrow",
    "finding": "F01",
    "label": "opacity",
    "source": "hospital-b",
    "split": "train",
    "status": "decided",
    "cluster": "side-00001",
    "saliency_cluster": "opacity/2",
    "origin": "detected",
    "explained": True,
    "tagged": True,
    "held_back": False,
    "score_min": 0.3,
    "score_max": 0.8,
}
ON_REGIONS = ("kind", "finding", "status", "cluster", "origin")


def request(number: int, verdict: Verdict | None, **target: Any) -> DecisionRequest:
    return DecisionRequest(key=f"request-{number:04d}", target=Target(**target), verdict=verdict)


def region_of(row: int, number: int = 0) -> dict[str, Any]:
    return {"regions": (region_id(RUN, row, number),)}


@pytest.fixture
def reviewed(any_store: Store) -> Store:
    """60 images; the arrows are decided by their rule, the marker of image 3 by itself, image 5 is tagged."""
    large_run(any_store, IMAGES)
    with any_store.writing() as session:
        decide(session, RUN, ANN, request(1, "rejected", finding="F04"))
        decide(session, RUN, ANN, request(2, "accepted", **region_of(3)))
        tag(session, RUN, ANN, image_id(RUN, 5), TagRequest(key="request-0003", tagged=True, expected=0))
    return any_store


Rows = tuple[set[str], list[Item], dict[str, list[Region]]]


def rows_of(store: Store) -> Rows:
    """Decided findings, images, and regions by image."""
    with store.reading() as session:
        ruled = set(session.scalars(select(Finding.finding).where(Finding.status == "decided")))
        of: dict[str, list[Region]] = {}
        for region in session.scalars(select(Region).where(~Region.deleted)):
            of.setdefault(region.image, []).append(region)
        return ruled, list(session.scalars(select(Item))), of


def expected(rows: Store | Rows, filters: dict[str, Any]) -> list[str]:
    """Images that fit, highest score first, from the definition and the tables."""
    ruled, items, of = rows_of(rows) if isinstance(rows, Store) else rows

    def fits_region(region: Region) -> bool:
        state = "decided" if region.finding in ruled and region.status != "conflict" else region.status
        values = {**{name: getattr(region, name) for name in ON_REGIONS}, "status": state}
        return all(values[name] == wanted for name, wanted in filters.items() if name in ON_REGIONS)

    def fits(item: Item) -> bool:
        own = {name: wanted for name, wanted in filters.items() if name not in ON_REGIONS}
        if item.score < own.pop("score_min", 0) or item.score > own.pop("score_max", 1):
            return False
        held = own.pop("held_back", None)
        if held is not None and held != any(region.held_back for region in of[item.image]):
            return False
        if any(getattr(item, name) != wanted for name, wanted in own.items()):
            return False
        return any(map(fits_region, of[item.image])) or not set(filters) & set(ON_REGIONS)

    return [item.image for item in sorted(items, key=lambda each: (-each.score, each.row)) if fits(item)]


def test_every_filter_alone_and_in_pairs(reviewed: Store) -> None:
    empty, rows = 0, rows_of(reviewed)
    for names in [*combinations(CHOICES, 1), *combinations(CHOICES, 2)]:
        filters = {name: CHOICES[name] for name in names}
        with reviewed.reading() as session:
            page = gallery.page(session, RUN, Filters(**filters), "score", 0, IMAGES, hidden=False, actor=ANN)
        assert [cell.image_id for cell in page.items] == expected(rows, filters), filters
        empty += not page.items
    assert empty < 30  # of 105


def test_windows_lie_side_by_side(reviewed: Store) -> None:
    with reviewed.reading() as session:
        whole = gallery.page(session, RUN, Filters(), "row", 0, 500, hidden=False, actor=ANN)
        parts = [gallery.page(session, RUN, Filters(), "row", at, 7, hidden=False, actor=ANN) for at in range(0, 70, 7)]
    assert [cell.row for cell in whole.items] == list(range(IMAGES))
    assert [cell for part in parts for cell in part.items] == list(whole.items)
    assert {part.total for part in parts} == {IMAGES}


def test_a_cell_tells_what_is_left_to_do(reviewed: Store) -> None:
    with reviewed.reading() as session:
        cells = gallery.page(session, RUN, Filters(), "row", 0, 6, hidden=False, actor=ANN).items
    assert [(cell.regions, cell.open, cell.status, cell.tagged) for cell in cells] == [
        (3, 2, "open", False),
        (3, 3, "open", False),
        (3, 2, "open", False),
        (3, 2, "open", False),
        (3, 2, "open", False),
        (3, 3, "open", True),
    ]


def test_a_blind_gallery_hides_the_answers_of_images_that_are_not_decided(reviewed: Store) -> None:
    with reviewed.writing() as session:
        decide(session, RUN, ANN, request(4, "keep", images=(image_id(RUN, 0),), scope="selected"))
    with reviewed.reading() as session:
        done, undone = gallery.page(session, RUN, Filters(), "row", 0, 2, hidden=True, actor=ANN).items
    assert (done.label, done.predicted, done.source, done.status) == ("clear", "clear", "hospital-a", "decided")
    assert (undone.label, undone.predicted, undone.source) == (None, None, None)


def test_facets_count_images_that_fit_the_other_filters(reviewed: Store) -> None:
    given = {"label": "clear", "kind": "arrow"}
    with reviewed.reading() as session:
        found = gallery.facets(session, RUN, Filters(**given), hidden=False)
        values = {name: {facet.value: facet.images for facet in each} for name, each in found.items()}
    assert values["kind"] == {"side": 30, "position": 30, "arrow": 30}
    assert values["label"] == {"clear": 30}
    assert values["status"] == {"decided": 30}
    assert values["explained"] == {"true": 6, "false": 24}
    rows = rows_of(reviewed)
    for name, counted in values.items():
        for value, images in counted.items():
            wanted = {"true": True, "false": False}.get(value, value)
            assert images == len(expected(rows, given | {name: wanted})), (name, value)


def test_a_finding_about_no_region_leads_to_the_images_it_names(reviewed: Store) -> None:
    with reviewed.reading() as session:
        assert gallery.image_ids(session, RUN, Filters(finding="F03"), 10) == [image_id(RUN, 1)]


def test_the_next_image_and_the_way_back(reviewed: Store) -> None:
    order = expected(reviewed, {"label": "opacity"})
    arguments = {"filters": Filters(label="opacity"), "sort": "score", "skip_decided": False, "actor": ANN}
    with reviewed.reading() as session:
        first = gallery.neighbour(session, RUN, None, direction="next", **arguments)
        third = gallery.neighbour(session, RUN, order[1], direction="next", **arguments)
        back = gallery.neighbour(session, RUN, order[1], direction="previous", **arguments)
        end = gallery.neighbour(session, RUN, order[-1], direction="next", **arguments)
    assert (first.image_id, first.position, first.total, first.left) == (order[0], 0, 30, 30)
    assert (third.image_id, third.position) == (order[2], 2)
    assert (back.image_id, end.image_id) == (order[0], None)


def test_from_an_image_that_no_longer_fits_the_queue_goes_on_where_it_stood(reviewed: Store) -> None:
    every, odd = expected(reviewed, {}), expected(reviewed, {"label": "opacity"})
    here = next(image for image in every[5:] if image not in odd)
    following = next(image for image in every[every.index(here) :] if image in odd)
    with reviewed.reading() as session:
        found = gallery.neighbour(session, RUN, here, Filters(label="opacity"), "score", "next", False, ANN)
    assert (found.image_id, found.position) == (following, 0)


def test_what_is_decided_is_skipped_and_what_was_passed_over_comes_again(reviewed: Store) -> None:
    order = expected(reviewed, {})
    with reviewed.writing() as session:
        decide(session, RUN, ANN, request(4, "keep", images=tuple(order[2:]), scope="selected"))
    with reviewed.reading() as session:
        after = gallery.neighbour(session, RUN, order[1], Filters(), "score", "next", True, ANN)
    assert (after.image_id, after.left) == (order[0], 2)


def test_of_two_readers_each_has_left_what_he_has_not_decided(any_store: Store) -> None:
    large_run(any_store, 4, readers=2)
    both = (image_id(RUN, 0), image_id(RUN, 1))

    def left(actor: Actor) -> str | None:
        with any_store.reading() as session:
            return gallery.neighbour(session, RUN, None, Filters(), "row", "next", True, actor).image_id

    with any_store.writing() as session:
        decide(session, RUN, ANN, request(1, "keep", images=both, scope="selected"))
    assert (left(ANN), left(BEN)) == (image_id(RUN, 2), image_id(RUN, 0))
    with any_store.writing() as session:
        decide(session, RUN, BEN, request(1, "accepted", **region_of(0)))
        decide(session, RUN, BEN, request(2, "keep", **region_of(0, 1)))
        decide(session, RUN, BEN, request(3, "keep", **region_of(0, 2)))
    assert (left(ANN), left(BEN), left(CY)) == (image_id(RUN, 2), image_id(RUN, 1), image_id(RUN, 0))


def test_the_memory_is_as_new_as_the_database_whatever_people_do(store_url: str) -> None:
    writer, reader = open_store(store_url), open_store(store_url)
    large_run(writer, 12)
    first, box = image_id(RUN, 0), BoxValue(x0=1, y0=2, x1=30, y1=40)
    actions = [
        lambda s: decide(s, RUN, ANN, request(1, "accepted", finding="F02")),
        lambda s: decide(s, RUN, BEN, request(2, "rejected", **region_of(4, 1), scope="same-text-and-place")),
        lambda s: draw(s, RUN, ANN, DrawRequest(key="request-0005", image_id=first, kind="word", box=box, expected=2)),
        lambda s: change(s, RUN, BEN, region_id(RUN, 1, 2), ChangeRequest(key="request-0006", kind="date", expected=2)),
        lambda s: delete(s, RUN, BEN, region_id(RUN, 2, 0), DeleteRequest(key="request-0007", expected=2)),
        lambda s: tag(s, RUN, ANN, first, TagRequest(key="request-0008", tagged=True, expected=3)),
        lambda s: undo(s, RUN, ANN, StepRequest(key="request-0009")),
        lambda s: redo(s, RUN, ANN, StepRequest(key="request-0010")),
        lambda s: undo(s, RUN, BEN, StepRequest(key="request-0011")),
        lambda s: settings(s, RUN, SettingsRequest(readers=2)),
        lambda s: decide(s, RUN, BEN, request(12, "keep", finding="F02")),
        lambda s: decide(s, RUN, ANN, request(13, "unsure", **region_of(5, 2))),
    ]
    for number, action in enumerate(actions):
        with reader.reading() as session:
            catalogue(session, RUN)
        with writer.writing() as session:
            action(session)
            fresh = catalogue(session, RUN)
        with reader.reading() as session:
            kept = catalogue(session, RUN)
            items = session.scalars(select(Item).order_by(Item.row)).all()
        assert _told(kept) == _told(fresh), number
        counts = kept.tally.counts
        assert [(item.regions, item.open, item.conflicts, item.tagged) for item in items] == [
            (int(every), int(left), int(conflict), bool(tagged))
            for every, left, conflict, tagged in zip(
                counts.sum(axis=0), counts[0] + counts[1], counts[2], kept.items["tagged"], strict=True
            )
        ], number
    writer.dispose()
    reader.dispose()


def _told(found: Any) -> Any:
    regions = found.regions.assign(state=found.tally.state).astype(object).where(lambda table: table.notna(), None)
    rows = sorted(map(str, regions.itertuples(index=False)))
    return found.revision, found.ruled, rows, found.items["tagged"].tolist(), found.tally.status.tolist()


def test_what_is_not_committed_reaches_nobody_else(reviewed: Store) -> None:
    with pytest.raises(ZeroDivisionError), reviewed.writing() as session:
        decide(session, RUN, ANN, request(4, "keep", finding="F01"))
        assert catalogue(session, RUN).ruled == {"F01", "F04"}
        _ = 1 / 0
    with reviewed.reading() as session:
        assert catalogue(session, RUN).ruled == {"F04"}


def test_audits_and_findings_count_what_is_left(reviewed: Store) -> None:
    with reviewed.reading() as session:
        (found,) = gallery.audits(session)
        findings = gallery.findings(session, RUN, ANN)
    assert (found.images, found.regions, found.open, found.decided, found.conflicts) == (60, 180, 60, 0, 0)
    assert found.findings == {"confirmed": 1, "suspected": 2, "not-confirmed": 1}
    assert found.findings_open == 3
    told = {each.id: (each.regions, each.open, each.images, each.review, each.own) for each in findings}
    assert told["F02"] == (60, 59, 60, "open", None)
    assert told["F04"] == (30, 0, 30, "decided", "rejected")
    assert "accepted" not in next(each for each in findings if each.id == "F03").decidable


def test_an_unknown_audit_is_missing(store: Store) -> None:
    with store.reading() as session:
        for ask in (gallery.audit, lambda *_: gallery.image_ids(session, "nothing", Filters(), 1)):
            with pytest.raises(Missing, match="no audit 'nothing'"):
                ask(session, "nothing")
