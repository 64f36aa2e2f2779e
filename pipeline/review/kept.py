"""A small memory for things that are slow to open or to make."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")
_LOCKS = 64


class Kept(Generic[Value]):
    """The values asked for last, at most `limit` of them. Threads share it; each value is made by one thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = threading.Lock()
        # One lock a value would grow without end; two values that share a lock merely wait for each other.
        self._making = [threading.Lock() for _ in range(_LOCKS)]

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of `key`; made where it is not there. `make` must not ask for another value of the same memory."""
        with self._making[hash(key) % _LOCKS]:
            with self._lock:
                if key in self._values:
                    self._values.move_to_end(key)
                    return self._values[key]
            value = make()
            with self._lock:
                self._values[key] = value
                while len(self._values) > self._limit:
                    self._values.popitem(last=False)
            return value
