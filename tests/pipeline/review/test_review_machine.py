"""Several people do anything in any order; whatever they do, nothing is lost and everything derived is right."""

from __future__ import annotations

from collections import defaultdict
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from pipeline.errors import InputError
from pipeline.review.store import Store
from pipeline.review.store.conflict import Conflict
from pipeline.review.store.edits import change, delete, draw, tag
from pipeline.review.store.history import redo, undo
from pipeline.review.store.readers import settings as change_settings
from pipeline.review.store.tables import Batch, Decision, Item, Region
from pipeline.review.values import (
    VERDICTS,
    BoxValue,
    ChangeRequest,
    DeleteRequest,
    DrawRequest,
    Outcome,
    SettingsRequest,
    StepRequest,
    TagRequest,
)
from tests.pipeline.review.acting import ANN, BEN, BOSS, CLEO, act, check_consistent, log, new_key, say
from tests.pipeline.review.study import image_id, large_run, region_id

IMAGES = 3
PEOPLE = (ANN, BEN, CLEO, BOSS)
_runs = count()

people = st.sampled_from(PEOPLE)
images = st.integers(0, IMAGES - 1)
verdicts = st.sampled_from((*VERDICTS, None))


class Review(RuleBasedStateMachine):
    """A review of three images by four people."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.log: list[Any] = []
        self.own: dict[str, list[Any]] = defaultdict(list)
        """Reviewer -> what they had said before each of their actions that can be undone."""
        self.undone: dict[str, list[Any]] = defaultdict(list)

    @initialize(readers=st.sampled_from((1, 2)))
    def start(self, readers: int) -> None:
        self.run = large_run(self.store, IMAGES, run=f"machine-{next(_runs)}", readers=readers)
        self.regions = [region_id(self.run, row, number) for row in range(IMAGES) for number in range(3)]

    # ------------------------------------------------------------ what people do

    @rule(
        actor=people,
        verdict=verdicts,
        number=st.integers(0, 100),
        scope=st.sampled_from(("region", "region", "image", "same-text-and-place", "same-cluster")),
        stale=st.integers(0, 2),
    )
    def decide_region(self, actor: Any, verdict: Any, number: int, scope: str, stale: int) -> None:
        region = self.regions[number % len(self.regions)]
        with self.store.reading() as session:
            image = session.get_one(Region, (self.run, region)).image
            version = session.get_one(Item, (self.run, image)).version
        expected = {image: max(0, version - stale)}
        self._do(
            actor, lambda: say(self.store, self.run, actor, verdict, regions=[region], scope=scope, expected=expected)
        )

    @rule(actor=people, verdict=verdicts, finding=st.sampled_from(("F01", "F02", "F03", "F04")))
    def decide_finding(self, actor: Any, verdict: Any, finding: str) -> None:
        self._do(actor, lambda: say(self.store, self.run, actor, verdict, finding=finding, comment="a rule"))

    @rule(actor=people, verdict=verdicts, row=images)
    def decide_selected(self, actor: Any, verdict: Any, row: int) -> None:
        self._do(
            actor, lambda: say(self.store, self.run, actor, verdict, images=[image_id(self.run, row)], scope="selected")
        )

    @rule(actor=people, row=images, kind=st.sampled_from(("side", "word", "arrow")), left=st.integers(-5, 120))
    def draw_region(self, actor: Any, row: int, kind: Any, left: int) -> None:
        box = BoxValue(x0=left, y0=3, x1=left + 12, y1=15)
        image, key = image_id(self.run, row), new_key()
        asked = DrawRequest(key=key, image_id=image, kind=kind, box=box, expected=self._version(image))
        if self._do(actor, lambda: act(self.store, draw, self.run, actor, asked)) is not None:
            with self.store.reading() as session:
                known = session.scalars(select(Region.region).where(Region.run == self.run)).all()
            self.regions += sorted(set(known) - set(self.regions))

    @rule(
        actor=people, number=st.integers(0, 100), left=st.integers(0, 100), kind=st.sampled_from((None, "word", "side"))
    )
    def change_region(self, actor: Any, number: int, left: int, kind: Any) -> None:
        region, expected = self._region(number)
        asked = ChangeRequest(
            key=new_key(), box=BoxValue(x0=left, y0=50, x1=left + 9, y1=60), kind=kind, expected=expected
        )
        self._do(actor, lambda: act(self.store, change, self.run, actor, region, asked))

    @rule(actor=people, number=st.integers(0, 100))
    def delete_region(self, actor: Any, number: int) -> None:
        region, expected = self._region(number)
        asked = DeleteRequest(key=new_key(), expected=expected)
        self._do(actor, lambda: act(self.store, delete, self.run, actor, region, asked))

    @rule(actor=people, row=images, tagged=st.booleans())
    def tag_image(self, actor: Any, row: int, tagged: bool) -> None:
        image = image_id(self.run, row)
        asked = TagRequest(key=new_key(), tagged=tagged, expected=self._version(image))
        self._do(actor, lambda: act(self.store, tag, self.run, actor, image, asked))

    @rule(actor=people)
    def undo_last(self, actor: Any) -> None:
        self._step(actor, undo, self.own[actor.name], self.undone[actor.name])

    @rule(actor=people)
    def redo_last(self, actor: Any) -> None:
        self._step(actor, redo, self.undone[actor.name], self.own[actor.name])

    @rule(readers=st.sampled_from((1, 2)))
    def change_readers(self, readers: Any) -> None:
        with self.store.writing() as session:
            change_settings(session, self.run, SettingsRequest(readers=readers))

    # ------------------------------------------------------------ what must hold

    @invariant()
    def nothing_is_lost_and_all_is_right(self) -> None:
        with self.store.reading() as session:
            now = [row for row in log(session) if self.run in row]
            assert set(map(repr, self.log)) <= set(map(repr, now))
            self.log = now
            check_consistent(session, self.run)

    # ------------------------------------------------------------ how

    def _version(self, image: str) -> int:
        with self.store.reading() as session:
            return session.get_one(Item, (self.run, image)).version

    def _region(self, number: int) -> tuple[str, int]:
        region = self.regions[number % len(self.regions)]
        with self.store.reading() as session:
            image = session.get_one(Region, (self.run, region)).image
        return region, self._version(image)

    def _said(self, actor: Any) -> dict[Any, Any]:
        """What an actor says at present: only the actor can change that."""
        own = select(Decision).where(Decision.run == self.run, Decision.reviewer == actor.name).order_by(Decision.id)
        with self.store.reading() as session:
            last = {(each.subject, each.subject_id): each for each in session.scalars(own)}
        return {
            subject: (each.verdict, each.comment, each.standing, each.adjudicates)
            for subject, each in last.items()
            if each.verdict
        }

    def _do(self, actor: Any, action: Any) -> Outcome | None:
        before = self._said(actor)
        try:
            outcome: Outcome = action()
        except InputError as error:
            self._check_refusal(actor, error)
            assert self._said(actor) == before
            return None
        self.own[actor.name].append(before)
        self.undone[actor.name].clear()
        return outcome

    def _step(self, actor: Any, step: Any, source: list[Any], target: list[Any]) -> None:
        before = self._said(actor)
        try:
            act(self.store, step, self.run, actor, StepRequest(key=new_key()))
        except Conflict as conflict:
            self._check_refusal(actor, conflict)
            assert source
            return
        except InputError:
            assert not source
            return
        assert self._said(actor) == source.pop()
        target.append(before)

    def _check_refusal(self, actor: Any, error: InputError) -> None:
        """Who is refused for others' sake is told what they did, and never what may not be seen yet."""
        if not isinstance(error, Conflict):
            return
        assert error.changes
        with self.store.reading() as session:
            made = {each.at: each.reviewer for each in session.scalars(select(Batch).where(Batch.run == self.run))}
        for each in error.changes:
            assert each.reviewer != actor.name
            assert made[each.at] == each.reviewer


def _examine(store: Store, examples: int) -> None:
    run_state_machine_as_test(
        lambda: Review(store),
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.slow
def test_whatever_people_do_nothing_is_lost(store: Store) -> None:
    _examine(store, 8)


@pytest.mark.slow
def test_whatever_many_people_do_nothing_is_lost(any_store: Store) -> None:
    _examine(any_store, 25)
