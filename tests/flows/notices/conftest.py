"""Receivers of notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.receiver import Receiver, started


@pytest.fixture
def receivers() -> Iterator[Callable[[], Receiver]]:
    """Starts receivers; stops them at the end."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(started())


@pytest.fixture
def receiver(receivers: Callable[[], Receiver]) -> Receiver:
    return receivers()
