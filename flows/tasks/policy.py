"""How every task of ours behaves under Prefect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE

from pipeline.errors import CxrAuditError

P = ParamSpec("P")
R = TypeVar("R")


def _worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    """Trouble of the machine may pass; what the user gave stays wrong however often it is tried."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, OSError | MemoryError) and not isinstance(error, CxrAuditError)


def stage(name: str, *, tags: tuple[str, ...] = ()) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A task named `name`: retried when the machine failed, never cached by Prefect.

    Content hashes of our own decide what is already done (`pipeline.artifacts.RunFolder`): Prefect's cache keys
    see a task's own lines but not the code it calls.
    """
    return task(
        name=name,
        tags=tags,
        retries=2,
        retry_delay_seconds=[1, 5],
        retry_condition_fn=_worth_retrying,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
