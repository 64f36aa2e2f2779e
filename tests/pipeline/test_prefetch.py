"""The next batches are made while one is used: order, errors, and how many wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.prefetch import prefetched


def test_everything_comes_in_order() -> None:
    assert list(prefetched(iter(range(20)))) == list(range(20))
    assert list(prefetched([])) == []
    assert list(prefetched([None, None])) == [None, None]


def test_no_more_wait_than_asked_for() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    batches = prefetched(items(), ahead=2)
    next(batches)
    time.sleep(0.1)
    assert len(made) <= 3
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == 1 or not [t for t in threading.enumerate() if t.name.startswith("prefetch")]


def test_an_error_comes_where_its_item_would() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("damaged")

    batches = prefetched(items())
    assert next(batches) == 1
    with pytest.raises(OSError, match="damaged"):
        next(batches)


def test_making_and_using_overlap() -> None:
    """Ten items that take 20 ms to make and 20 ms to use take much less than 400 ms."""

    def items() -> Iterator[int]:
        for number in range(10):
            time.sleep(0.02)
            yield number

    began = time.perf_counter()
    for _ in prefetched(items()):
        time.sleep(0.02)
    assert time.perf_counter() - began < 0.36
