"""Who does the parts: all once, none again, in any order, and an error or a death comes to light."""

from __future__ import annotations

import os
import random
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import CxrAuditError, IntegrityError
from pipeline.spread import Spread, here, parts_of, processes, spread_blocks
from tests.chores import Chore, Deadly, Failing, Perilous, diary

SPREADS = [
    pytest.param(here, id="here"),
    pytest.param(processes(1), id="one process"),
    pytest.param(processes(2), id="processes", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("spread", SPREADS)
def test_every_part_is_done_once_and_none_again(spread: Spread, tmp_path: Path) -> None:
    chores = [Chore(tmp_path, number) for number in range(6)]
    chores[2].do()
    random.Random(0).shuffle(chores)
    assert len(list(spread(chores))) == 5, "one step for each part that was not there"
    assert sorted(number for number, _ in diary(tmp_path)) == list(range(6))
    assert [(tmp_path / f"{number:03d}.txt").read_text() for number in range(6)] == ["0", "2", "4", "6", "8", "10"]
    assert list(spread(chores)) == []


@pytest.mark.parametrize("spread", SPREADS)
def test_an_error_surfaces_as_it_is(spread: Spread, tmp_path: Path) -> None:
    parts = [Failing(tmp_path, 0), *(Chore(tmp_path, number) for number in range(1, 4))]
    with pytest.raises(IntegrityError, match="part 0 is damaged") as caught:
        list(spread(parts))
    assert caught.value.path == tmp_path / "000.txt"


@pytest.mark.slow
def test_processes_share_the_work_but_not_the_networks(tmp_path: Path) -> None:
    for network in (False, True):
        folder = tmp_path / str(network)
        folder.mkdir()
        list(processes(2)([Chore(folder, number, network) for number in range(4)]))
        assert ({process for _, process in diary(folder)} == {os.getpid()}) == network


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_what_may_die_is_done_elsewhere_even_if_it_is_one(tmp_path: Path, workers: int) -> None:
    list(processes(workers)([Perilous(tmp_path, 0)]))
    ((_, process),) = diary(tmp_path)
    assert process != os.getpid()


@pytest.mark.slow
def test_a_process_that_dies_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CxrAuditError, match="A worker process died"):
        list(processes(2)([Deadly(tmp_path, 0), Deadly(tmp_path, 1)]))


def test_blocks_tell_how_far_they_are_and_go_on(tmp_path: Path) -> None:
    told: list[int] = []
    chore = lambda block, target: Chore(tmp_path, int(block[0]))  # noqa: E731
    blocks = partial(spread_blocks, np.arange(5), 2, chore, tmp_path, here)
    Chore(tmp_path, 0).do()
    assert [part.number for part in blocks(told.append)] == [0, 2, 4]
    blocks(told.append)
    assert told == [2, 4, 5, 5]
    assert [number for number, _ in diary(tmp_path)] == [0, 2, 4]


def test_parts_stay_until_the_whole_is_made(tmp_path: Path) -> None:
    out = tmp_path / "table"
    with pytest.raises(KeyboardInterrupt), parts_of(out, "request") as folder:
        (folder / "0").touch()
        raise KeyboardInterrupt
    with parts_of(out, "another request") as other:
        assert list(other.iterdir()) == []
    assert list(tmp_path.iterdir()) == []
