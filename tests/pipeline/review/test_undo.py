"""Undo and redo: each person's own stack, the state before, and no undoing over what somebody else did."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from pipeline.errors import InputError
from pipeline.review.store import Store
from pipeline.review.store.conflict import Conflict
from pipeline.review.store.edits import change, delete, draw, tag
from pipeline.review.store.history import history, redo, undo
from pipeline.review.store.readers import settings
from pipeline.review.store.tables import Batch, Decision, Region
from pipeline.review.values import (
    BoxValue,
    ChangeRequest,
    DeleteRequest,
    DrawRequest,
    Outcome,
    SettingsRequest,
    StepRequest,
    TagRequest,
)
from tests.pipeline.review.acting import ANN, BEN, act, check_consistent, derived_columns, new_key, say
from tests.pipeline.review.study import image_id, large_run, region_id

BOX = BoxValue(x0=10, y0=10, x1=30, y1=20)


def step(store: Store, what: Any, run: str, actor: Any, key: str = "") -> Outcome:
    return act(store, what, run, actor, StepRequest(key=key or new_key()))


def state(store: Store, run: str) -> dict[str, Any]:
    with store.reading() as session:
        check_consistent(session, run)
        return derived_columns(session, run)


def drawn(store: Store, run: str) -> str:
    with store.reading() as session:
        return session.scalars(select(Region.region).where(Region.run == run, Region.origin == "drawn")).one()


def verdict(store: Store, run: str, row: int = 0) -> str | None:
    with store.reading() as session:
        return session.get_one(Region, (run, region_id(run, row, 0))).verdict


def edits(run: str, actor: Any) -> list[tuple[Any, tuple[Any, ...]]]:
    image, region = image_id(run, 0), region_id(run, 0, 1)
    return [
        (draw, (DrawRequest(key=new_key(), image_id=image, kind="word", box=BOX, expected=99),)),
        (change, (region, ChangeRequest(key=new_key(), box=BOX, kind="word", expected=99))),
        (delete, (region, DeleteRequest(key=new_key(), expected=99))),
        (tag, (image, TagRequest(key=new_key(), tagged=True, expected=99))),
    ]


def test_undo_restores_and_redo_repeats_step_by_step(any_store: Store) -> None:
    run = large_run(any_store, 3)
    with any_store.writing() as session:
        session.get_one(Region, (run, region_id(run, 0, 1))).place = "top-left"  # where its box is
    say(any_store, run, BEN, "keep", regions=[region_id(run, 0, 0)], comment="Ben's")
    states = [state(any_store, run)]
    here = {"regions": [region_id(run, 0, 0)]}
    say(any_store, run, ANN, "accepted", **here, scope="same-text-and-place")
    states.append(state(any_store, run))
    say(any_store, run, ANN, "rejected", **here, scope="image")
    states.append(state(any_store, run))
    say(any_store, run, ANN, "accepted", finding="F01")
    states.append(state(any_store, run))
    for what, arguments in edits(run, ANN):
        act(any_store, what, run, ANN, *arguments)
        states.append(state(any_store, run))
    present = drawn(any_store, run)

    def seen(which: dict[str, Any]) -> dict[str, Any]:
        """A region that was drawn and taken back stays in the table, deleted."""
        return which | {"regions": [each for each in which["regions"] if not (each.region == present and each.deleted)]}

    for expected in reversed(states[:-1]):
        step(any_store, undo, run, ANN)
        assert seen(state(any_store, run)) == seen(expected)
    with pytest.raises(InputError, match="nothing of yours to undo"):
        step(any_store, undo, run, ANN)
    for expected in states[1:]:
        step(any_store, redo, run, ANN)
        assert seen(state(any_store, run)) == seen(expected)
    with pytest.raises(InputError, match="nothing of yours to redo"):
        step(any_store, redo, run, ANN)
    for expected in reversed(states[:-1]):
        step(any_store, undo, run, ANN)
        assert seen(state(any_store, run)) == seen(expected)


def test_a_verdict_that_another_superseded_does_not_come_back_as_the_latest(store: Store) -> None:
    run = large_run(store, 2)
    here = [region_id(run, 0, 0)]
    say(store, run, ANN, "accepted", regions=here)
    say(store, run, BEN, "rejected", regions=here)
    say(store, run, ANN, "keep", regions=here)
    step(store, undo, run, ANN)
    assert verdict(store, run) == "rejected"


def test_a_new_action_ends_what_could_be_redone(store: Store) -> None:
    run = large_run(store, 2)
    for row in range(2):
        say(store, run, ANN, "accepted", regions=[region_id(run, row, 0)])
    step(store, undo, run, ANN)
    say(store, run, ANN, "keep", regions=[region_id(run, 1, 1)])
    with pytest.raises(InputError, match="nothing of yours to redo"):
        step(store, redo, run, ANN)
    for _ in range(2):
        step(store, undo, run, ANN)
    assert verdict(store, run, 0) is None
    with pytest.raises(InputError, match="nothing of yours to undo"):
        step(store, undo, run, ANN)


def test_stacks_are_each_persons_and_each_audits_own(store: Store) -> None:
    one, two = large_run(store, 2, run="one"), large_run(store, 2, run="two")
    say(store, one, ANN, "accepted", regions=[region_id(one, 0, 0)])
    for run, actor in ((one, BEN), (two, ANN)):
        with pytest.raises(InputError, match="nothing of yours to undo"):
            step(store, undo, run, actor)
    say(store, one, BEN, "keep", regions=[region_id(one, 1, 0)])
    outcome = step(store, undo, one, ANN)
    assert (outcome.action, outcome.focus) == ("undo", image_id(one, 0))
    assert (verdict(store, one, 0), verdict(store, one, 1)) == (None, "keep")


def test_an_undo_sent_twice_undoes_one_action(any_store: Store) -> None:
    run = large_run(any_store, 2)
    for row in range(2):
        say(any_store, run, ANN, "accepted", regions=[region_id(run, row, 0)])
    first = step(any_store, undo, run, ANN, "the-same-key")
    assert step(any_store, undo, run, ANN, "the-same-key") == first.model_copy(update={"repeated": True})
    assert (verdict(any_store, run, 0), verdict(any_store, run, 1)) == ("accepted", None)


@pytest.mark.parametrize("later", ["decide", "change", "delete"])
def test_nobody_undoes_over_what_another_did_to_the_region(any_store: Store, later: str) -> None:
    run = large_run(any_store, 5)
    say(any_store, run, ANN, "accepted", regions=[region_id(run, 0, 0)], scope="same-text-and-place")
    before = state(any_store, run)
    touched = region_id(run, 3, 0)
    if later == "decide":
        say(any_store, run, BEN, "rejected", regions=[touched])
    elif later == "change":
        act(any_store, change, run, BEN, touched, ChangeRequest(key=new_key(), box=BOX, expected=9))
    else:
        act(any_store, delete, run, BEN, touched, DeleteRequest(key=new_key(), expected=9))
    with pytest.raises(Conflict) as refused:
        step(any_store, undo, run, ANN)
    [told] = refused.value.changes
    assert (told.reviewer, told.action, told.subject_id) == ("ben", later, touched)
    assert "the side on image 3" in told.words
    step(any_store, undo, run, BEN)
    with pytest.raises(Conflict, match="ben"):  # what Ben did and undid is twice what Ann did not see
        step(any_store, undo, run, ANN)
    assert state(any_store, run) == before


def test_a_region_that_another_decided_about_is_not_undrawn(store: Store) -> None:
    run = large_run(store, 2, readers=2)
    act(store, draw, run, ANN, edits(run, ANN)[0][1][0])
    say(store, run, BEN, "accepted", regions=[drawn(store, run)])
    with pytest.raises(Conflict) as refused:
        step(store, undo, run, ANN)
    assert refused.value.changes[0].words.startswith("ben decided about the word on image 0 on")  # not what


def test_a_tag_that_another_changed_is_not_undone(store: Store) -> None:
    run = large_run(store, 2)
    image = image_id(run, 0)
    act(store, tag, run, ANN, image, TagRequest(key=new_key(), tagged=True, expected=0))
    act(store, tag, run, BEN, image, TagRequest(key=new_key(), tagged=False, expected=1))
    with pytest.raises(Conflict, match="ben tagged image 0"):
        step(store, undo, run, ANN)


def test_two_readers_undo_independently_until_both_decided(store: Store) -> None:
    run = large_run(store, 2, readers=2)
    here = [region_id(run, 0, 0)]
    say(store, run, ANN, "accepted", regions=here)
    say(store, run, BEN, "rejected", finding="F02")
    step(store, undo, run, ANN)
    step(store, redo, run, ANN)
    say(store, run, BEN, "rejected", regions=here)
    with pytest.raises(Conflict, match="ben rejected the side"):
        step(store, undo, run, ANN)


def test_the_log_tells_who_what_when_why_and_with_what(store: Store) -> None:
    run = large_run(store, 3)
    say(store, run, ANN, "accepted", finding="F02", comment="all of them")
    say(store, run, BEN, "keep", regions=[region_id(run, 1, 0)], comment="a lead")
    step(store, undo, run, BEN)
    with store.reading() as session:
        undone, kept, rule = history(session, run)
        assert [each.id for each in history(session, run, limit=1, before=kept.id)] == [rule.id]
        assert [each.id for each in history(session, run, image_id(run, 0))] == [rule.id]
        assert [each.id for each in history(session, run, image_id(run, 1))] == [undone.id, kept.id, rule.id]
        stamp = session.get_one(Batch, kept.batch).at
    assert (kept.reviewer, kept.verdict, kept.comment, kept.action) == ("ben", "keep", "a lead", "decide")
    assert (kept.subject, kept.subject_id, kept.image_id) == ("region", region_id(run, 1, 0), image_id(run, 1))
    assert (kept.at, kept.software.split()[0]) == (stamp, "cxr-audit")
    assert kept.at.utcoffset() is not None
    assert (undone.action, undone.verdict, undone.supersedes) == ("undo", None, kept.id)
    assert (rule.subject, rule.subject_id, rule.image_id) == ("finding", "F02", None)


def test_with_two_readers_the_log_hides_what_the_other_decided_until_both_did(any_store: Store) -> None:
    run = large_run(any_store, 2, readers=2)
    here = [region_id(run, 0, 0)]
    say(any_store, run, ANN, "accepted", regions=here)
    say(any_store, run, ANN, "keep", finding="F01")

    def told(actor: Any) -> list[tuple[str, str | None]]:
        with any_store.reading() as session:
            return [(each.reviewer, each.verdict) for each in history(session, run, actor=actor)]

    assert told(ANN) == told(None) == [("ann", "keep"), ("ann", "accepted")]
    assert told(BEN) == []
    say(any_store, run, BEN, "rejected", regions=here)
    assert told(BEN) == [("ben", "rejected"), ("ann", "accepted")]
    with any_store.writing() as session:
        settings(session, run, SettingsRequest(readers=1))
    assert told(BEN) == told(None)
    with any_store.reading() as session:
        assert len(session.scalars(select(Decision)).all()) == 3
