"""The `Spread` of the flow that runs; a flow says at its beginning what it is, its tasks ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path

from flows.mirror import mirrored
from flows.request import AuditRequest
from pipeline.spread import Spread, here, processes

_current: ContextVar[Spread] = ContextVar("cxr_audit_spread", default=here)


def spread() -> Spread:
    """Who does the parts of a task's work; this process alone outside `spreading`."""
    return _current.get()


def spread_for(request: AuditRequest) -> AbstractContextManager[None]:
    """`spreading`, as an audit's request wants it."""
    return spreading(request.cluster, request.workers, request.workspace)


@contextmanager
def spreading(cluster: str | None, workers: int, workspace: Path) -> Iterator[None]:
    """Have parts done during the block by who was asked for.

    Args:
        cluster: `local`, `local:<workers>`, the address of a Dask scheduler, or None: no cluster.
        workers: processes of this machine, where there is no cluster.
        workspace: must be the same folder for all workers, or a mirror of a store that they reach.

    Raises:
        InputError: no such cluster, or one of its workers is not fit to work with.
    """
    made: AbstractContextManager[Spread] = nullcontext(processes(workers))
    if cluster is not None:
        from flows.cluster.dask import on_cluster  # Dask and Prefect load slowly

        made = on_cluster(cluster, workspace)
    with made as chosen:
        token = _current.set(mirrored(chosen, workspace) if cluster is not None else chosen)
        try:
            yield
        finally:
            _current.reset(token)
