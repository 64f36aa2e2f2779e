"""Regions that people draw, move, rename and delete, and the mark for a second reader."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from pipeline.errors import InputError
from pipeline.review.store import Store
from pipeline.review.store.conflict import Conflict, Missing
from pipeline.review.store.edits import change, delete, draw, tag
from pipeline.review.store.places import first_finding, places
from pipeline.review.store.tables import Edit, Finding, Item, Region
from pipeline.review.values import BoxValue, ChangeRequest, DeleteRequest, DrawRequest, TagRequest
from tests.pipeline.review.acting import ANN, BEN, act, check_consistent, new_key, say
from tests.pipeline.review.study import image_id, large_run, region_id

WIDTH, HEIGHT = 128, 96  # of the images of `large_run`


def drawing(run: str, *box: float, kind: Any = "side", expected: int = 0, key: str = "") -> DrawRequest:
    x0, y0, x1, y1 = box
    value = BoxValue(x0=x0, y0=y0, x1=x1, y1=y1)
    return DrawRequest(key=key or new_key(), image_id=image_id(run, 0), kind=kind, box=value, expected=expected)


def drawn(store: Store, run: str) -> Region:
    with store.reading() as session:
        check_consistent(session, run)
        return session.scalars(select(Region).where(Region.run == run, Region.origin == "drawn")).one()


def found(store: Store, run: str, number: int) -> Region:
    with store.reading() as session:
        check_consistent(session, run)
        return session.get_one(Region, (run, region_id(run, 0, number)))


def test_a_drawn_region_is_cut_to_the_image_and_belongs_to_its_finding(any_store: Store) -> None:
    run = large_run(any_store, 2)
    say(any_store, run, BEN, "accepted", finding="F02")
    outcome = act(any_store, draw, run, ANN, drawing(run, 100, -20, 500, 10.5, expected=1))
    region = drawn(any_store, run)
    assert (region.x0, region.y0, region.x1, region.y1) == (100, 0, WIDTH, 10.5)
    assert (region.kind, region.text, region.place, region.finding) == ("side", None, "top-right", "F02")
    assert (region.detector, region.confidence, region.edited, region.status) == ("reviewer", 1.0, True, "open")
    assert (outcome.regions, outcome.focus) == (1, image_id(run, 0))
    with any_store.reading() as session:
        item = session.get_one(Item, (run, image_id(run, 0)))
        assert (item.regions, item.open, item.version) == (4, 2, 2)
        assert session.get_one(Finding, (run, "F02")).regions == 3


@pytest.mark.parametrize("box", [(200, 10, 300, 20), (WIDTH - 1.5, 10, WIDTH + 50, 20), (10, 10, 30, 11.9)])
def test_a_box_covers_at_least_two_pixels_of_the_image_each_way(store: Store, box: tuple[float, ...]) -> None:
    run = large_run(store, 2)
    with pytest.raises(InputError, match="at least 2 x 2 pixels of the image, which is 128 x 96"):
        act(store, draw, run, ANN, drawing(run, *box))
    with pytest.raises(InputError, match="at least 2 x 2 pixels"):
        moved = ChangeRequest(key=new_key(), box=drawing(run, *box).box, expected=0)
        act(store, change, run, ANN, region_id(run, 0, 0), moved)


def test_the_same_box_drawn_twice_is_two_regions_and_a_request_sent_twice_is_one(store: Store) -> None:
    run = large_run(store, 2)
    for key in ("first-key", "first-key", "second-key"):
        act(store, draw, run, ANN, drawing(run, 1, 1, 9, 9, key=key, expected=9))
    with store.reading() as session:
        assert len(session.scalars(select(Region).where(Region.origin == "drawn")).all()) == 2


def test_a_moved_region_keeps_its_verdict_and_loses_what_was_measured_where_it_was(any_store: Store) -> None:
    run = large_run(any_store, 2)
    with any_store.writing() as session:
        region = session.get_one(Region, (run, region_id(run, 0, 1)))
        region.share, region.enrichment, region.effect = 0.25, 3.0, {"mean": 0.5}
    before = found(any_store, run, 1)
    say(any_store, run, BEN, "accepted", regions=[before.region])
    box = BoxValue(x0=1, y0=80, x1=20, y1=300)
    act(any_store, change, run, ANN, before.region, ChangeRequest(key=new_key(), box=box, expected=1))
    after = found(any_store, run, 1)
    assert (after.x0, after.y0, after.x1, after.y1, after.place) == (1, 80, 20, HEIGHT, "bottom-left")
    assert (after.kind, after.text, after.finding, after.verdict) == ("position", "PORTABLE", "F01", "accepted")
    assert (after.share, after.enrichment, after.effect, after.cluster) == (None, None, None, None)
    assert after.edited
    with any_store.reading() as session:
        [edit] = session.scalars(select(Edit)).all()
    assert (edit.before["x0"], edit.before["effect"], edit.before["cluster"]) == (
        before.x0,
        {"mean": 0.5},
        before.cluster,
    )


def test_another_kind_is_another_finding_and_what_was_read_goes(store: Store) -> None:
    run = large_run(store, 2)
    say(store, run, BEN, "accepted", finding="F02")
    renamed = ChangeRequest(key=new_key(), kind="side", expected=1)
    act(store, change, run, ANN, region_id(run, 0, 1), renamed)
    region = found(store, run, 1)
    assert (region.kind, region.text, region.finding) == ("side", None, "F02")
    with store.reading() as session:
        assert session.get_one(Item, (run, image_id(run, 0))).open == 1
    with pytest.raises(InputError, match="nothing to change"):
        act(store, change, run, ANN, region.region, ChangeRequest(key=new_key(), expected=2))


def test_a_deleted_region_counts_no_more_and_nothing_is_done_to_it(store: Store) -> None:
    run = large_run(store, 2)
    gone = region_id(run, 0, 0)
    act(store, delete, run, ANN, gone, DeleteRequest(key=new_key(), expected=0))
    with store.reading() as session:
        check_consistent(session, run)
        item = session.get_one(Item, (run, image_id(run, 0)))
        assert (item.regions, item.open, item.version) == (2, 2, 1)
    assert say(store, run, ANN, "keep", regions=[region_id(run, 1, 0)], scope="same-text-and-place").regions == 1
    for again in (
        lambda: act(store, delete, run, ANN, gone, DeleteRequest(key=new_key(), expected=9)),
        lambda: act(store, change, run, ANN, gone, ChangeRequest(key=new_key(), kind="word", expected=9)),
        lambda: say(store, run, ANN, "keep", regions=[gone]),
    ):
        with pytest.raises(InputError, match="was deleted"):
            again()


def test_a_tag_is_set_and_taken_off(store: Store) -> None:
    run = large_run(store, 2)
    image = image_id(run, 1)
    for tagged in (True, False):
        act(store, tag, run, ANN, image, TagRequest(key=new_key(), tagged=tagged, expected=9))
        with store.reading() as session:
            check_consistent(session, run)
            assert session.get_one(Item, (run, image)).tagged is tagged


def test_what_another_did_to_the_image_comes_first(store: Store) -> None:
    run = large_run(store, 2)
    act(store, draw, run, BEN, drawing(run, 1, 1, 9, 9))
    image, region = image_id(run, 0), region_id(run, 0, 0)
    for late in (
        lambda: act(store, draw, run, ANN, drawing(run, 1, 1, 9, 9)),
        lambda: act(store, change, run, ANN, region, ChangeRequest(key=new_key(), kind="word", expected=0)),
        lambda: act(store, delete, run, ANN, region, DeleteRequest(key=new_key(), expected=0)),
        lambda: act(store, tag, run, ANN, image, TagRequest(key=new_key(), tagged=True, expected=0)),
        lambda: say(store, run, ANN, "keep", regions=[region], expected={image: 0}),
    ):
        with pytest.raises(Conflict, match="ben drew the side on image 0"):
            late()


def test_with_two_readers_a_region_the_other_decided_about_is_not_changed_unseen(store: Store) -> None:
    run = large_run(store, 2, readers=2)
    region = region_id(run, 0, 0)
    say(store, run, BEN, "rejected", regions=[region])
    with pytest.raises(Conflict) as refused:
        act(store, delete, run, ANN, region, DeleteRequest(key=new_key(), expected=0))
    assert "rejected" not in str(refused.value)
    act(store, draw, run, ANN, drawing(run, 1, 1, 9, 9))
    say(store, run, ANN, "accepted", regions=[region], expected={image_id(run, 0): 0})


def test_what_is_not_there_is_said(store: Store) -> None:
    run = large_run(store, 2)
    with pytest.raises(Missing, match="no region"):
        act(store, delete, run, ANN, "0" * 16, DeleteRequest(key=new_key(), expected=0))
    with pytest.raises(Missing, match="no image"):
        act(store, tag, run, ANN, "0" * 64, TagRequest(key=new_key(), tagged=True, expected=0))


def test_places_are_the_ninths_of_the_picture() -> None:
    x = [0, 33, 34, 66, 67, 100, -50, 300]
    assert list(places(x, 0, x, 0, 100, 100)) == [
        "top-left", "top-left", "top-center", "top-center", "top-right", "top-right", "top-left", "top-right",
    ]  # fmt: skip
    assert list(places([0, 0, 0], [0, 40, 80], [10] * 3, [20, 60, 100], 300, 100)) == [
        "top-left", "middle-left", "bottom-left",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text", "finding"),
    [
        ("position", "PORTABLE", "F1"),
        ("position", "AP", "F3"),
        ("position", None, "F3"),
        ("side", "L", "F2"),
        ("border", None, None),
    ],
)
def test_the_first_finding_that_names_a_region_is_its_own(kind: str, text: str | None, finding: str | None) -> None:
    by_rank = [("F1", "position", "PORTABLE"), ("F2", "side", None), ("F3", "mark", None), ("F4", "position", None)]
    assert first_finding(by_rank, kind, text) == finding
