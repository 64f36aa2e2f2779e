"""Preparing the next piece of work while the current one is worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_END = object()


def prefetched(items: Iterable[T], ahead: int = 2) -> Iterator[T]:
    """`items` in their order, each made in a thread while those before it are used.

    One thread makes them, one after the other: what they are does not depend on who is faster. An error of `items`
    is raised where its item would have come.

    Args:
        items: made lazily, such as a generator of batches; only the thread runs its code.
        ahead: items that wait at most, so that memory stays bounded.
    """
    source = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        waiting = deque(thread.submit(next, source, _END) for _ in range(ahead))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(thread.submit(next, source, _END))
                yield item  # type: ignore[misc]
        finally:
            thread.shutdown(cancel_futures=True)
