"""Decisions: what they reach, that they are appended and done once, and that nobody overwrites another unknowingly."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import event, select

from pipeline.errors import InputError
from pipeline.review.store import Store
from pipeline.review.store.conflict import Conflict, Missing
from pipeline.review.store.history import redo, undo
from pipeline.review.store.scopes import reach
from pipeline.review.store.tables import Decision, Finding, Item, Region, Run
from pipeline.review.values import StepRequest, Target
from tests.pipeline.review.acting import ANN, BEN, BOSS, act, check_consistent, log, new_key, say
from tests.pipeline.review.study import image_id, large_run, region_id


def item(store: Store, run: str, row: int) -> Item:
    with store.reading() as session:
        return session.get_one(Item, (run, image_id(run, row)))


def region(store: Store, run: str, row: int, number: int) -> Region:
    with store.reading() as session:
        return session.get_one(Region, (run, region_id(run, row, number)))


def test_a_decision_on_a_region_is_in_force_for_it_alone(store: Store) -> None:
    run = large_run(store, 3)
    outcome = say(store, run, ANN, "rejected", regions=[region_id(run, 1, 0)], comment="a film mark")
    assert (outcome.regions, outcome.images, outcome.revision) == (1, 1, 1)
    assert outcome.versions == {image_id(run, 1): 1}
    assert outcome.focus == image_id(run, 1)
    assert (region(store, run, 1, 0).verdict, region(store, run, 1, 0).status) == ("rejected", "decided")
    assert region(store, run, 0, 0).status == region(store, run, 1, 1).status == "open"
    assert [(each.open, each.version) for each in (item(store, run, row) for row in range(3))] == [
        (3, 0),
        (2, 1),
        (3, 0),
    ]


def test_a_decision_on_a_finding_rules_its_regions_and_a_region_may_differ(store: Store) -> None:
    run = large_run(store, 4)
    outcome = say(store, run, ANN, "accepted", finding="F01")
    assert (outcome.regions, outcome.images) == (4, 4)
    say(store, run, ANN, "keep", regions=[region_id(run, 2, 1)])
    with store.reading() as session:
        assert session.get_one(Finding, (run, "F01")).verdict == "accepted"
    assert [item(store, run, row).open for row in range(4)] == [2, 2, 2, 2]
    assert [region(store, run, row, 1).verdict for row in range(4)] == [None, None, "keep", None]


def test_what_is_no_region_cannot_be_accepted_for_removal(store: Store) -> None:
    run = large_run(store, 2)
    with pytest.raises(InputError, match=r"F03 \(trait/sharpness\) has no regions"):
        say(store, run, ANN, "accepted", finding="F03")
    assert say(store, run, ANN, "keep", finding="F03").regions == 0


@pytest.mark.parametrize(
    ("scope", "reached"),
    [
        ("region", {(0, 2)}),
        ("image", {(0, 0), (0, 1), (0, 2)}),
        ("same-text-and-place", {(0, 2), (2, 2), (4, 2)}),
        ("same-cluster", {(0, 2), (1, 2), (2, 2), (3, 2), (4, 2)}),
    ],
)
def test_scopes_reach_what_they_say(any_store: Store, scope: str, reached: set[tuple[int, int]]) -> None:
    run = large_run(any_store, 5)  # region 2: an arrow without text on even images, a number on odd ones
    with any_store.writing() as session:
        for row in range(5):
            session.get_one(Region, (run, region_id(run, row, 2))).cluster = "c"
    seed = region_id(run, 0, 2)
    with any_store.reading() as session:
        told = reach(session, run, ANN, Target(regions=(seed,), scope=scope))
    assert (told.regions, told.images) == (len(reached), len({row for row, _ in reached}))
    assert say(any_store, run, ANN, "rejected", regions=[seed], scope=scope).regions == len(reached)
    found = {(row, number) for row in range(5) for number in range(3) if region(any_store, run, row, number).verdict}
    assert found == reached


def test_selected_images_may_be_narrowed_to_a_kind(store: Store) -> None:
    run = large_run(store, 4)
    chosen = [image_id(run, row) for row in (1, 3)]
    assert say(store, run, ANN, "keep", images=chosen, scope="selected", kind="side").regions == 2
    assert say(store, run, ANN, "keep", images=chosen, scope="selected").regions == 6
    with pytest.raises(InputError, match="none of that kind"):
        say(store, run, ANN, "keep", images=chosen, scope="selected", kind="device")


def test_a_region_without_look_alikes_is_its_own_cluster(store: Store) -> None:
    run = large_run(store, 3)
    with store.writing() as session:
        for row in range(3):
            session.get_one(Region, (run, region_id(run, row, 0))).cluster = None
    assert say(store, run, ANN, "keep", regions=[region_id(run, 0, 0)], scope="same-cluster").regions == 1


def test_reach_counts_what_is_decided_and_by_whom(store: Store) -> None:
    run = large_run(store, 4)
    say(store, run, ANN, "accepted", regions=[region_id(run, 0, 0), region_id(run, 1, 0)])
    say(store, run, BEN, "accepted", regions=[region_id(run, 1, 0), region_id(run, 2, 0)])
    with store.reading() as session:
        told = reach(session, run, ANN, Target(finding="F02"))
    assert told.model_dump() == {
        "regions": 4, "images": 4, "by_kind": {"side": 4}, "decided": 2, "by_others": 2, "revision": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"regions": ["0" * 16]}, "no region"),
        ({"finding": "F99"}, "no finding"),
        ({"images": ["0" * 64], "scope": "selected"}, "no image"),
    ],
)
def test_what_is_not_there_is_said(store: Store, target: dict[str, object], words: str) -> None:
    run = large_run(store, 2)
    with pytest.raises(Missing, match=words):
        say(store, run, ANN, "keep", **target)
    with pytest.raises(Missing, match="no audit"):
        say(store, "none", ANN, "keep", **target)
    with store.reading() as session:
        assert log(session) == []
        assert session.get_one(Run, run).revision == 0


def test_the_latest_decision_counts_until_it_is_taken_back(store: Store) -> None:
    run = large_run(store, 2)
    here = [region_id(run, 0, 0)]
    say(store, run, ANN, "accepted", regions=here)
    say(store, run, BEN, "rejected", regions=here)
    assert region(store, run, 0, 0).verdict == "rejected"
    say(store, run, BEN, None, regions=here)
    assert region(store, run, 0, 0).verdict == "accepted"
    with pytest.raises(InputError, match="no decision of yours"):
        say(store, run, BEN, None, regions=here)
    with store.reading() as session:
        made = session.scalars(select(Decision).order_by(Decision.id)).all()
    assert [(each.reviewer, each.verdict, each.supersedes) for each in made] == [
        ("ann", "accepted", None),
        ("ben", "rejected", None),
        ("ben", None, made[1].id),
    ]


def test_a_request_sent_again_is_answered_again_and_done_once(any_store: Store) -> None:
    run = large_run(any_store, 2)
    first = say(any_store, run, ANN, "keep", key="the-same-key", regions=[region_id(run, 0, 0)])
    later = say(any_store, run, ANN, "keep", key="the-same-key", regions=[region_id(run, 0, 0)])
    assert later == first.model_copy(update={"repeated": True})
    with pytest.raises(InputError, match="used for another request"):
        say(any_store, run, ANN, "rejected", key="the-same-key", regions=[region_id(run, 0, 0)])
    assert not say(any_store, run, BEN, "keep", key="the-same-key", regions=[region_id(run, 0, 0)]).repeated
    with any_store.reading() as session:
        assert len(session.scalars(select(Decision)).all()) == 2


def test_who_did_not_see_a_change_is_told_what_it_was(any_store: Store) -> None:
    run = large_run(any_store, 2)
    image, here = image_id(run, 1), [region_id(run, 1, 0)]
    say(any_store, run, BEN, "rejected", regions=here, expected={image: 0})
    with pytest.raises(Conflict) as refused:
        say(any_store, run, ANN, "accepted", regions=here, expected={image: 0})
    [change] = refused.value.changes
    assert (change.image_id, change.subject, change.subject_id) == (image, "region", here[0])
    assert (change.action, change.reviewer) == ("decide", "ben")
    assert change.words.startswith("ben rejected the side on image 1 as a false alarm on 20")
    say(any_store, run, ANN, "accepted", regions=here, expected={image: 1})


def test_a_rule_made_in_the_meantime_is_a_change_of_its_images(store: Store) -> None:
    run = large_run(store, 2)
    say(store, run, BEN, "accepted", finding="F01")
    with pytest.raises(Conflict, match="ben accepted the finding “The classifier reads position words"):
        say(store, run, ANN, "keep", regions=[region_id(run, 0, 1)], expected={image_id(run, 0): 0})


def test_own_later_changes_are_no_conflict(store: Store) -> None:
    run = large_run(store, 2)
    for verdict in ("accepted", "rejected"):
        say(store, run, ANN, verdict, regions=[region_id(run, 0, 0)], expected={image_id(run, 0): 0})
    assert region(store, run, 0, 0).verdict == "rejected"


def test_a_wide_decision_is_refused_if_one_of_its_regions_changed_after_it_was_counted(store: Store) -> None:
    run = large_run(store, 4)
    wide = {"regions": [region_id(run, 0, 0)], "scope": "same-text-and-place"}
    say(store, run, BEN, "rejected", regions=[region_id(run, 3, 1)])  # another kind
    say(store, run, ANN, "accepted", **wide, revision=0)
    say(store, run, BEN, "rejected", regions=[region_id(run, 3, 0)])
    with pytest.raises(Conflict, match="ben rejected the side on image 3"):
        say(store, run, ANN, "keep", **wide, revision=2)
    say(store, run, ANN, "keep", **wide, revision=3)
    assert region(store, run, 3, 0).verdict == "keep"


def test_a_finding_decided_in_the_meantime_is_not_decided_over(store: Store) -> None:
    run = large_run(store, 4)
    say(store, run, BEN, "rejected", finding="F01")
    with pytest.raises(Conflict, match="ben rejected the finding"):
        say(store, run, BOSS, "accepted", finding="F01", revision=0)


def test_versions_of_any_size_are_taken(any_store: Store) -> None:
    run = large_run(any_store, 2)
    say(any_store, run, BEN, "keep", regions=[region_id(run, 0, 0)])
    with pytest.raises(Conflict):
        say(any_store, run, ANN, "keep", regions=[region_id(run, 0, 0)], expected={image_id(run, 0): -(2**70)})
    say(any_store, run, ANN, "keep", regions=[region_id(run, 0, 0)], revision=2**70, expected={image_id(run, 0): 2**70})


def test_the_log_is_only_ever_appended_to(any_store: Store) -> None:
    run = large_run(any_store, 4)
    said: list[str] = []
    event.listen(any_store.engine, "before_cursor_execute", lambda *call: said.append(call[2]))
    say(any_store, run, ANN, "accepted", regions=[region_id(run, 0, 0)], scope="image")
    with any_store.reading() as session:
        before = log(session)
    say(any_store, run, ANN, "rejected", regions=[region_id(run, 0, 0)])
    say(any_store, run, BOSS, "keep", finding="F02")
    act(any_store, undo, run, ANN, StepRequest(key=new_key()))
    act(any_store, redo, run, ANN, StepRequest(key=new_key()))
    say(any_store, run, ANN, None, regions=[region_id(run, 0, 0)])
    with any_store.reading() as session:
        after = log(session)
        check_consistent(session, run)
    assert all(row in after for row in before)
    assert len(after) > len(before)
    assert any("INSERT INTO decisions" in each for each in said)
    for table in ("batches", "decisions", "edits"):
        assert not [each for each in said if each.startswith((f"UPDATE {table}", f"DELETE FROM {table}"))]


@pytest.mark.slow
def test_a_decision_on_ten_thousand_regions_takes_less_than_two_seconds(store: Store) -> None:
    run = large_run(store, 10_000)
    started = time.process_time()
    outcome = say(store, run, ANN, "accepted", regions=[region_id(run, 0, 0)], scope="same-text-and-place", revision=0)
    spent = time.process_time() - started
    assert outcome.regions == 10_000
    assert len(outcome.versions) == 1000
    assert spent < 2
    act(store, undo, run, ANN, StepRequest(key=new_key()))
    with store.reading() as session:
        assert session.scalars(select(Region.verdict).where(Region.run == run).distinct()).all() == [None]
