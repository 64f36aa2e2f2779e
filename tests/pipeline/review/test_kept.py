"""A small memory that threads share."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.review.kept import Kept


def test_a_value_is_made_once_and_the_one_asked_for_longest_ago_goes_first():
    made: list[str] = []
    kept: Kept[str] = Kept(2)

    def get(key: str) -> str:
        return kept.get(key, lambda: made.append(key) or key.upper())

    assert [get(key) for key in "abab"] == ["A", "B", "A", "B"]
    assert made == ["a", "b"]
    get("a")  # now b is the one asked for longest ago
    get("c")
    get("a")
    assert made == ["a", "b", "c"]
    get("b")
    assert made == ["a", "b", "c", "b"]


def test_threads_that_want_the_same_value_wait_for_one_of_them():
    kept: Kept[int] = Kept(4)
    made: list[int] = []
    together = threading.Barrier(8)

    def make() -> int:
        made.append(1)
        return 7

    def ask(_: int) -> int:
        together.wait(timeout=10)
        return kept.get("key", make)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [7] * 8
    assert made == [1]


def test_what_could_not_be_made_is_not_kept():
    kept: Kept[int] = Kept(4)

    def fail() -> int:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        kept.get("key", fail)
    assert kept.get("key", lambda: 3) == 3
