"""Many people at once, the same request twice at once, and a process that is killed while it decides."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import func, select

from pipeline.review.store import Store, open_store
from pipeline.review.store.conflict import Conflict
from pipeline.review.store.in_force import in_force
from pipeline.review.store.register import register
from pipeline.review.store.tables import Batch, Decision, Run
from pipeline.review.values import VERDICTS, Actor, Outcome
from tests.pipeline.review.acting import ANN, check_consistent, new_key, say
from tests.pipeline.review.study import Study, image_id, large_run, region_id

THREADS = 8
EACH = 12
IMAGES = 6

KILLED = """
import sys
from pipeline.review.store import open_store
from tests.pipeline.review.acting import ANN, say
from tests.pipeline.review.study import region_id

store = open_store(sys.argv[1], migrate=False)
for number in range(100_000):
    key = f"killed-{number:06d}"
    region = region_id("synthetic", number % 6, 0)
    say(store, "synthetic", ANN, ("accepted", "rejected")[number % 2], key=key, regions=[region])
    print(key, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("readers", [1, 2])
def test_all_that_many_people_were_told_is_done_is_there_once(any_store: Store, readers: int) -> None:
    run = large_run(any_store, IMAGES, readers=readers)

    def review(person: int) -> list[Outcome]:
        actor = Actor(name=f"reader-{person}", role="reviewer")
        return [
            say(
                any_store,
                run,
                actor,
                VERDICTS[(person + turn) % 4],
                regions=[region_id(run, turn % IMAGES, person % 3)],
            )
            for turn in range(EACH)
        ]

    with ThreadPoolExecutor(THREADS) as pool:
        told = [outcome for of_person in pool.map(review, range(THREADS)) for outcome in of_person]
    with any_store.reading() as session:
        batches = session.scalars(select(Decision.batch).where(Decision.run == run)).all()
        assert sorted(batches) == sorted(outcome.batch for outcome in told)
        assert len(batches) == THREADS * EACH
        assert session.get_one(Run, run).revision == THREADS * EACH
        check_consistent(session, run)


def test_of_many_who_saw_the_same_image_one_decides_and_the_others_are_told(any_store: Store) -> None:
    run = large_run(any_store, IMAGES)
    image, region = image_id(run, 0), region_id(run, 0, 0)
    together = Barrier(THREADS)

    def review(person: int) -> Outcome | Conflict:
        together.wait()
        actor = Actor(name=f"reader-{person}", role="reviewer")
        try:
            return say(any_store, run, actor, "rejected", regions=[region], expected={image: 0})
        except Conflict as conflict:
            return conflict

    with ThreadPoolExecutor(THREADS) as pool:
        ends = list(pool.map(review, range(THREADS)))
    refused = [end for end in ends if isinstance(end, Conflict)]
    assert len(refused) == THREADS - 1
    with any_store.reading() as session:
        [decision] = session.scalars(select(Decision).where(Decision.run == run)).all()
    for conflict in refused:
        assert [change.reviewer for change in conflict.changes] == [decision.reviewer]


def test_a_request_that_is_sent_twice_at_once_is_done_once(any_store: Store) -> None:
    run = large_run(any_store, IMAGES)
    together = Barrier(THREADS)

    def send(key: str) -> Outcome:
        together.wait()
        return say(any_store, run, ANN, "keep", key=key, regions=[region_id(run, 1, 1)])

    for _ in range(3):
        with ThreadPoolExecutor(THREADS) as pool:
            answers = list(pool.map(send, [new_key()] * THREADS))
        assert len({answer.batch for answer in answers}) == 1
        assert sorted(answer.repeated for answer in answers) == [False] + [True] * (THREADS - 1)
    with any_store.reading() as session:
        assert session.scalar(select(func.count()).select_from(Decision)) == 3


@pytest.mark.slow
def test_a_killed_process_loses_nothing_that_it_acknowledged(store_url: str) -> None:
    store = open_store(store_url)
    run = large_run(store, IMAGES)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, store_url],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(40)]
        process.kill()  # SIGKILL: no handler runs, no buffer is written
        acknowledged += process.stdout.read().split()
    assert process.returncode == -9
    with store.reading() as session:
        kept = set(
            session.scalars(select(Batch.key).join(Decision, Decision.batch == Batch.id).where(Batch.run == run))
        )
        assert set(acknowledged) <= kept
        assert len(kept) <= len(acknowledged) + 1  # one may have been done, and its answer lost
        check_consistent(session, run)
    again = say(store, run, ANN, "accepted", key=acknowledged[0], regions=[region_id(run, 0, 0)])
    assert again.repeated
    store.dispose()


def test_servers_that_find_a_new_audit_at_once_enter_it_once(store_url: str, review_workspace: Study) -> None:
    servers = [open_store(store_url) for _ in range(4)]
    together = Barrier(len(servers))

    def enter(server: Store) -> bool:
        together.wait()
        return register(server, review_workspace.run, review_workspace.dataset)

    with ThreadPoolExecutor(len(servers)) as pool:
        assert sorted(pool.map(enter, servers)) == [False, False, False, True]
    for server in servers:
        server.dispose()


def test_who_reads_sees_one_state_while_others_decide(any_store: Store) -> None:
    run = large_run(any_store, IMAGES)
    with any_store.reading() as session:
        assert in_force(session, run).revision == 0
        say(any_store, run, ANN, "keep", regions=[region_id(run, 0, 0)])
        session.expire_all()
        found = in_force(session, run)
        assert (found.revision, len(found.regions)) == (0, 0)
    with any_store.reading() as session:
        assert in_force(session, run).revision == 1
