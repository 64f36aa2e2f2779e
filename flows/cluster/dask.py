"""Parts as Prefect tasks on the workers of a Dask cluster."""

from __future__ import annotations

import itertools
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Future, KilledWorker, wait
from distributed.client import ClosedClientError
from prefect.client.orchestration import get_client
from prefect.context import TaskRunContext
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_dask.task_runners import DaskTaskRunner, PrefectDaskFuture

from flows.cluster.local import local_cluster
from flows.cluster.task import do_part
from flows.cluster.versions import Versions, require_same, require_same_workspace, versions
from flows.mirror.places import MIRROR
from pipeline.artifacts import write_text
from pipeline.errors import CxrAuditError, InputError
from pipeline.logs import carried
from pipeline.spread import Part, Spread, WorkerDiedError, undone

_AHEAD = 3
"""Parts handed to the cluster for each of its threads: enough that none waits, few enough to keep in mind."""
_PATIENCE = 120
"""Seconds to wait for a first worker."""
LONELY_SECONDS = 600.0
"""To wait for another worker once none is left: a cluster that grows and shrinks may be between two jobs."""
_LOOK = 5.0
"""Seconds between two looks at who is there, while no part ends."""
_SILENT = "its scheduler does not answer any more, or was started anew"

_log = logging.getLogger("cxr_audit.parts")


class ClusterLostError(CxrAuditError):
    """The scheduler does not answer any more, or no worker is left."""


@contextmanager
def on_cluster(cluster: str, workspace: Path) -> Iterator[Spread]:
    """A `Spread` over a cluster whose workers were asked whether they are like this process.

    Args:
        cluster: `local`, `local:<workers>`, or the address of a Dask scheduler.
        workspace: the folder that all workers must see, unless each has a mirror of its own.

    Raises:
        InputError: the cluster cannot be reached, has no workers, or one of them is not fit.
    """
    import torch

    threads = torch.get_num_threads()  # asked before Dask starts workers: it changes OMP_NUM_THREADS meanwhile
    with ExitStack() as stack:
        runner = stack.enter_context(task_runner(cluster))
        client = _connected(runner, cluster)
        asked = versions()
        require_same(asked, {**_answers(client, versions), "the scheduler": _scheduler(client)})
        if not (workspace / MIRROR).exists():
            _require_workspace(client, workspace)
        # Without a server of the user's, Prefect's own is a process here; workers have to be told where it listens.
        with get_client(sync_client=True) as prefect:
            stack.enter_context(temporary_settings({PREFECT_API_URL: str(prefect.api_url)}))
        yield OnCluster(runner, asked, _threads(cluster, threads, len(_workers(client))))


@contextmanager
def task_runner(cluster: str) -> Iterator[DaskTaskRunner]:
    """Prefect's runner on a Dask cluster: one of this machine's own for the length of the block, or an existing one.

    Raises:
        InputError: no such cluster.
    """
    if "://" in cluster:
        with DaskTaskRunner(address=cluster, client_kwargs={"timeout": 30}) as runner:
            yield runner
        return
    # Dask would give up a worker that its nanny takes longer than 15 s to start again, on a busy machine all of them.
    patient = dask.config.set({"distributed.deploy.lost-worker-timeout": "1 day"})
    with patient, local_cluster(cluster) as started, DaskTaskRunner(address=started.scheduler_address) as runner:
        yield runner


@dataclass(frozen=True)
class OnCluster:
    """A `Spread` that hands parts to workers; the part of a worker that dies is done by another one.

    Attributes:
        runner: of Prefect, started.
        asked: versions that a worker must have.
        threads: of torch, in each worker.
    """

    runner: DaskTaskRunner
    asked: Versions
    threads: int

    def __call__(self, parts: Sequence[Part]) -> Iterator[None]:
        """See `Spread`.

        Raises:
            ClusterLostError: nobody is left to do a part.
            CxrAuditError: what a part raised, or that it killed several workers.
        """
        try:
            yield from self._done(undone(parts))
        except (CancelledError, ClosedClientError) as error:  # Dask still looks for it, or has given it up
            raise _lost(_SILENT) from error

    def _done(self, todo: Sequence[Part]) -> Iterator[None]:
        workers = _workers(self.runner.client)
        gpus = any(worker.get("resources", {}).get("GPU") for worker in workers.values())
        ahead = _AHEAD * max(sum(int(worker["nthreads"]) for worker in workers.values()), 1)
        run = TaskRunContext.get()
        title = run.task.name if run else "work"
        names = (f"{title} {number} of {len(todo)}" for number in itertools.count(1))
        queue = (self._submitted(part, name, gpus) for part, name in zip(todo, names, strict=False))
        at_work = {future.wrapped_future: future for future in itertools.islice(queue, ahead)}
        while at_work:
            for done in self._ended(at_work, gpus):
                _raise_what_failed(at_work.pop(done))
                at_work.update((future.wrapped_future, future) for future in itertools.islice(queue, 1))
                yield

    def _ended(self, at_work: Iterable[Future[Any]], gpus: bool) -> set[Future[Any]]:
        """Some that have ended; waits for the first of them as long as there is a worker for it.

        Raises:
            ClusterLostError: nobody is there to wait for.
        """
        last_seen: float | None = None
        while True:
            try:
                with self.runner.client.as_current():
                    ended = wait(list(at_work), timeout=_LOOK, return_when="FIRST_COMPLETED")  # type: ignore[no-untyped-call]
                    return set(ended.done)
            except TimeoutError:
                last_seen = self._seen(last_seen, gpus)

    def _seen(self, last_seen: float | None, gpus: bool) -> float | None:
        """Since when there is nobody to do the work, None while there is.

        Raises:
            ClusterLostError: for too long.
        """
        try:
            workers = _workers(self.runner.client).values()
        except OSError as error:  # the connection broke while it was asked
            raise _lost(_SILENT) from error
        if any(worker.get("resources", {}).get("GPU") for worker in workers) if gpus else workers:
            return None
        if last_seen is None:
            _log.warning("The cluster has no worker left for this: waiting %.0f s for another one.", LONELY_SECONDS)
            return time.monotonic()
        if time.monotonic() - last_seen > LONELY_SECONDS:
            raise _lost(f"no worker has been there for {LONELY_SECONDS:.0f} s")
        return last_seen

    def _submitted(self, part: Part, name: str, gpus: bool) -> PrefectDaskFuture[None]:
        task = do_part.with_options(task_run_name=name, tags=["gpu"] if part.network and gpus else [])
        where = {"resources": {"GPU": 1}} if part.network and gpus else {}
        with dask.annotate(**where):  # type: ignore[attr-defined]
            parameters = {"part": part, "threads": self.threads, "asked": dict(self.asked), "logs": carried()}
            return self.runner.submit(task, parameters=parameters)


def _raise_what_failed(future: PrefectDaskFuture[None]) -> None:
    try:
        future.result(timeout=LONELY_SECONDS)  # of a worker that died since, another one computes it again
    except TimeoutError as error:
        if future.wrapped_future.done():  # type: ignore[no-untyped-call]  # it is what the part raised
            raise
        raise _lost(f"no worker has finished a lost part again within {LONELY_SECONDS:.0f} s") from error
    except KilledWorker as error:
        raise WorkerDiedError(
            f"A part of the work killed {error.allowed_failures + 1} workers of the cluster one after the other, most "
            "likely for lack of memory. Give workers more memory, or fewer of them to a machine; what was finished is "
            "kept, and the same command resumes."
        ) from error


def _lost(what: str) -> ClusterLostError:
    return ClusterLostError(
        f"The Dask cluster is lost: {what}. What was finished is kept: start scheduler and workers again, and give the "
        "same command with the scheduler's address, or without --cluster."
    )


def _connected(runner: DaskTaskRunner, cluster: str) -> Client:
    try:
        client = runner.client
        client.wait_for_workers(1, timeout=_PATIENCE)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(
            f"--cluster {cluster}: there is no Dask scheduler, or it had no worker within {_PATIENCE} s "
            f"({type(error).__name__}: {error}). See docs/cluster.md."
        ) from error
    return client


def _workers(client: Client) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = client.scheduler_info(n_workers=-1).get("workers", {})
    return found


def _answers(client: Client, question: Callable[..., Any], *given: object) -> dict[str, Any]:
    answers: dict[str, Any] = client.run(question, *given, on_error="return")
    return answers


def _scheduler(client: Client) -> Versions | Exception:
    """What the scheduler says of itself: it reads what it hands on, and so needs the same packages."""
    try:
        found: Versions = client.run_on_scheduler(versions)  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever an installation of another kind raises
        return error
    return found


def _require_workspace(client: Client, workspace: Path) -> None:
    token = workspace / f".seen-by-workers-{uuid.uuid4().hex}"
    write_text(token, "")
    try:
        require_same_workspace(workspace, _answers(client, os.path.exists, str(token)))
    finally:
        token.unlink()


def _threads(cluster: str, threads: int, workers: int) -> int:
    """Threads of torch in a worker; the last bits of what a network computes may depend on them.

    As many as this process would use, so that a cluster gives the bytes that this process would give; but workers of
    this machine share its cores, unless `OMP_NUM_THREADS` says otherwise.
    """
    if "://" in cluster or "OMP_NUM_THREADS" in os.environ:
        return threads
    return max(1, threads // workers)
