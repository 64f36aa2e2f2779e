"""Two readers: which verdict is in force, how far they agree, where they do not, and who settles it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from pipeline.randomness import numpy_generator
from pipeline.review.store import Store
from pipeline.review.store.agreement import cohens_kappa, kappa_interval
from pipeline.review.store.conflict import Conflict
from pipeline.review.store.readers import conflicts, kappa, settings
from pipeline.review.store.tables import Decision, Finding, Item, Region, Run
from pipeline.review.store.verdicts import Ballot, in_force, settles
from pipeline.review.values import Actor, SettingsRequest
from tests.pipeline.review.acting import ANN, BEN, BOSS, CLEO, check_consistent, say
from tests.pipeline.review.study import NOW, image_id, large_run, region_id


def ballots(*cast: tuple[str, Any] | tuple[str, Any, bool]) -> list[Ballot]:
    return [Ballot(each[0], each[1], len(each) > 2, standing, "", NOW, "") for standing, each in enumerate(cast)]


@pytest.mark.parametrize(
    ("cast", "one", "two"),
    [
        ([], (None, "open"), (None, "open")),
        ([("ann", "keep")], ("keep", "decided"), (None, "second")),
        ([("ann", "keep"), ("ben", "keep")], ("keep", "decided"), ("keep", "decided")),
        ([("ann", "keep"), ("ben", "unsure")], ("unsure", "decided"), (None, "conflict")),
        ([("ann", "keep"), ("ben", "keep"), ("cleo", "rejected")], ("rejected", "decided"), (None, "conflict")),
        ([("ann", "keep"), ("ben", "unsure"), ("cleo", "keep", True)], ("keep", "decided"), ("keep", "decided")),
        (
            [("ann", "keep"), ("cleo", "accepted", True), ("ben", "unsure")],
            ("unsure", "decided"),
            ("accepted", "decided"),
        ),
    ],
)
def test_the_rule(cast: list[Any], one: tuple[Any, str], two: tuple[Any, str]) -> None:
    assert in_force(ballots(*cast), 1) == one
    assert in_force(ballots(*cast), 2) == two


@pytest.mark.parametrize(
    ("actor", "cast", "expected"),
    [
        (CLEO, [("ann", "keep"), ("ben", "unsure")], True),
        (ANN, [("ann", "keep"), ("ben", "unsure")], False),
        (BOSS, [("boss", "keep"), ("ben", "unsure")], True),
        (BOSS, [("ben", "unsure")], False),
        (CLEO, [("ann", "keep"), ("ben", "keep")], False),
        (CLEO, [("ann", "keep"), ("ben", "keep"), ("cleo", "unsure", True)], True),
        (ANN, [("ben", "keep"), ("cleo", "unsure", True)], False),
    ],
)
def test_who_settles(actor: Actor, cast: list[Any], expected: bool) -> None:
    assert settles(ballots(*cast), actor) is expected


def status(store: Store, run: str, row: int) -> tuple[str | None, str]:
    with store.reading() as session:
        check_consistent(session, run)
        region = session.get_one(Region, (run, region_id(run, row, 0)))
        return region.verdict, region.status


def test_a_conflict_of_two_readers_is_listed_and_a_third_settles_it(any_store: Store) -> None:
    run = large_run(any_store, 3, readers=2)
    here = [region_id(run, 1, 0)]
    say(any_store, run, ANN, "accepted", regions=here, comment="a film mark")
    assert status(any_store, run, 1) == (None, "second")
    say(any_store, run, BEN, "keep", regions=here)
    say(any_store, run, ANN, "keep", finding="F03")
    say(any_store, run, BEN, "unsure", finding="F03")
    assert status(any_store, run, 1) == (None, "conflict")
    with any_store.reading() as session:
        item = session.get_one(Item, (run, image_id(run, 1)))
        assert (item.open, item.conflicts) == (2, 1)
        page = conflicts(session, run)
        assert [each.subject_id for each in conflicts(session, run, offset=1, limit=1).items] == here
        assert [each.subject_id for each in conflicts(session, run, limit=1).items] == ["F03"]
    assert (page.total, [each.subject_id for each in page.items]) == (2, ["F03", *here])
    assert (page.items[1].image_id, page.items[1].row, page.items[1].title) == (image_id(run, 1), 1, "side on image 1")
    assert [(vote.reviewer, vote.verdict, vote.comment) for vote in page.items[1].votes] == [
        ("ann", "accepted", "a film mark"),
        ("ben", "keep", ""),
    ]
    say(any_store, run, CLEO, "rejected", regions=here)
    say(any_store, run, CLEO, "keep", regions=here)
    assert status(any_store, run, 1) == ("keep", "decided")
    with any_store.reading() as session:
        assert conflicts(session, run).total == 1
        made = session.scalars(select(Decision).where(Decision.subject == "region").order_by(Decision.id)).all()
        assert [each.adjudicates for each in made] == [False, False, True, True]


def test_equal_verdicts_of_one_person_are_not_two_readers(store: Store) -> None:
    run = large_run(store, 2, readers=2)
    for _ in range(2):
        say(store, run, ANN, "accepted", regions=[region_id(run, 0, 0)])
    assert status(store, run, 0) == (None, "second")


def test_a_reader_decides_unseen_and_is_told_only_what_both_decided(store: Store) -> None:
    run = large_run(store, 2, readers=2)
    here, image = [region_id(run, 0, 0)], image_id(run, 0)
    say(store, run, ANN, "accepted", regions=here, expected={image: 0})
    say(store, run, BEN, "rejected", regions=here, expected={image: 0})  # as if Ann had said nothing
    with pytest.raises(Conflict, match="ben rejected"):
        say(store, run, ANN, "rejected", regions=here, expected={image: 1})
    say(store, run, ANN, "rejected", regions=here, expected={image: 2})
    assert status(store, run, 0) == ("rejected", "decided")


def test_settings_keep_decisions_and_change_what_is_in_force(any_store: Store) -> None:
    run = large_run(any_store, 2)
    say(any_store, run, ANN, "accepted", regions=[region_id(run, 0, 0)])
    say(any_store, run, BEN, "keep", finding="F01")
    for readers, verdict in ((2, (None, "second")), (1, ("accepted", "decided"))):
        with any_store.writing() as session:
            assert settings(session, run, SettingsRequest(readers=readers)) == {"readers": readers}
        assert status(any_store, run, 0) == verdict
    with any_store.writing() as session:
        assert settings(session, run, SettingsRequest(blind=True, readers=1)) == {"blind": True}
        assert settings(session, run, SettingsRequest(blind=True)) == {}
    with any_store.reading() as session:
        assert session.get_one(Run, run).revision == 5
        assert session.get_one(Run, run).blind
        assert session.get_one(Finding, (run, "F01")).verdict == "keep"


# ---------------------------------------------------------------- kappa

COHEN = [[88, 10, 2], [14, 40, 6], [18, 10, 12]]
"""200 cases, two judges (Cohen 1960, table 2). Agreed 140; by chance (100 x 120 + 60 x 60 + 40 x 20) / 200 = 82."""


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (COHEN, (140 - 82) / (200 - 82)),
        ([[20, 5], [10, 15]], 0.4),  # agreed 0.7, by chance 0.5
        ([[3, 0], [0, 4]], 1.0),
        ([[0, 5], [5, 0]], -1.0),
        ([[7, 0], [0, 0]], np.nan),
        ([[0, 0], [0, 0]], np.nan),
    ],
)
def test_kappa_of_known_tables(table: Sequence[Sequence[int]], expected: float) -> None:
    assert cohens_kappa(np.array([table], float))[0] == pytest.approx(expected, nan_ok=True)


def test_the_interval_is_that_of_whole_images() -> None:
    agree, differ = np.diag([1.0, 1.0]), np.array([[0.0, 1.0], [1.0, 0.0]])
    few = np.array([agree * 10, differ * 10] * 5)
    many = np.array([agree, differ] * 50)  # the same table from ten times as many images
    (low, high), (narrow_low, narrow_high) = (
        kappa_interval(tables, numpy_generator(1, "test")) for tables in (few, many)
    )
    # Kappa is 2 a / n - 1 with a of n images agreeing: its standard error is 1 / sqrt(n).
    assert (low, high) == pytest.approx((-0.6, 0.6), abs=0.21)
    assert (narrow_low, narrow_high) == pytest.approx((-0.196, 0.196), abs=0.05)


def test_kappa_is_that_of_the_verdicts_that_two_readers_gave_unseen(any_store: Store) -> None:
    run = large_run(any_store, 6, readers=2)
    for row, (ann, ben) in enumerate([("keep", "keep"), ("keep", "rejected"), ("rejected", "rejected")]):
        say(any_store, run, ANN, ann, regions=[region_id(run, row, 0)])
        say(any_store, run, BEN, ben, regions=[region_id(run, row, 0)])
    say(any_store, run, ANN, "rejected", finding="F03")
    say(any_store, run, ANN, "keep", finding="F03")  # a slip, corrected before Ben decided
    say(any_store, run, BEN, "keep", finding="F03")
    say(any_store, run, ANN, "rejected", regions=[region_id(run, 1, 0)])  # persuaded: no independent agreement
    say(any_store, run, ANN, "keep", regions=[region_id(run, 5, 0)])  # Ben did not decide
    say(any_store, run, CLEO, "unsure", regions=[region_id(run, 5, 1)])
    with any_store.reading() as session:
        [pair] = kappa(session, run, 7)
        assert kappa(session, run, 7) == [pair]
    assert (pair.readers, pair.both, pair.agree) == (("ann", "ben"), 4, 3)
    # Ann: 3 keep, 1 rejected; Ben: 2 and 2. By chance (3 x 2 + 1 x 2) / 16 = 0.5; agreed 0.75.
    assert pair.kappa == pytest.approx(0.5)
    assert {(first, second): n for first, row in pair.table.items() for second, n in row.items() if n} == {
        ("keep", "keep"): 2,
        ("keep", "rejected"): 1,
        ("rejected", "rejected"): 1,
    }
    assert pair.low is not None
    assert pair.high is not None
    assert -1 <= pair.low <= 0.5 <= pair.high <= 1


def test_kappa_is_unknown_where_both_always_say_the_same_one_thing_and_settling_is_no_reading(store: Store) -> None:
    run = large_run(store, 3, readers=2)
    for row in range(2):
        for actor in (ANN, BEN):
            say(store, run, actor, "keep", regions=[region_id(run, row, 0)])
    with store.reading() as session:
        [pair] = kappa(session, run, 7)
    assert (pair.both, pair.agree, pair.kappa, pair.low, pair.high) == (2, 2, None, None, None)
    say(store, run, ANN, "keep", regions=[region_id(run, 2, 0)])
    say(store, run, BEN, "rejected", regions=[region_id(run, 2, 0)])
    say(store, run, CLEO, "keep", regions=[region_id(run, 2, 0)])
    with store.reading() as session:
        assert [each.readers for each in kappa(session, run, 7)] == [("ann", "ben")]
