"""How every task of ours behaves under Prefect."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext

from flows.observed import stage_failed
from pipeline.errors import CxrAuditError
from pipeline.logs import bound, timed

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("cxr_audit.stages")


def _worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    """Trouble of the machine may pass; what the user gave stays wrong however often it is tried."""
    error = state.result(raise_on_failure=False)
    again = isinstance(error, OSError | MemoryError) and not isinstance(error, CxrAuditError)
    if again:
        _log.warning("The machine failed in a stage, which is tried again.", extra={"error": type(error).__name__})
    return again


def stage(name: str, *, tags: tuple[str, ...] = ()) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A task named `name`: retried when the machine failed, never cached by Prefect.

    Content hashes of our own decide what is already done (`pipeline.artifacts.RunFolder`): Prefect's cache keys
    see a task's own lines but not the code it calls.
    """

    def prepare(work: Callable[P, R]) -> Task[P, R]:
        return policy(_logged(name, work))

    policy = task(
        name=name,
        tags=tags,
        retries=2,
        retry_delay_seconds=[1, 5],
        retry_condition_fn=_worth_retrying,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    return prepare


def _logged(name: str, work: Callable[P, R]) -> Callable[P, R]:
    """`work` with a line in the log when it begins, and one with its seconds when it ends or fails."""

    @wraps(work)
    def logged(*args: P.args, **kwargs: P.kwargs) -> R:
        run = TaskRunContext.get()
        stage, attempt = (run.task.name, run.task_run.run_count) if run else (name, 1)
        with bound(stage=stage):
            _log.info("stage begins", extra={"attempt": attempt})
            try:
                with timed(_log, "stage ended", attempt=attempt):
                    return work(*args, **kwargs)
            except Exception:
                stage_failed(stage)
                raise

    return logged
