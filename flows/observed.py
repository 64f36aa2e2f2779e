"""Around the body of every flow: logs with their context, and notices about how it ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from flows.logs import logged
from flows.notices import announce, ended, failed, not_passed
from flows.results import RunResult
from pipeline.errors import CxrAuditError
from pipeline.logs import bound, context, note

_log = logging.getLogger("cxr_audit.flows")


@dataclass
class Observed:
    """A flow that is at work.

    Attributes:
        failed_stage: the innermost stage that an error passed through.
    """

    flow: str
    workspace: Path
    dataset: str | None
    failed_stage: str | None = None

    def is_about(self, dataset: str) -> None:
        """Name the data set, once it is known."""
        self.dataset = dataset
        note(dataset=dataset)


_current: ContextVar[Observed | None] = ContextVar("cxr_audit_observed", default=None)


@contextmanager
def observed(flow: str, workspace: Path, manifest: str | None = None) -> Iterator[Observed]:
    """Log the beginning and the end of a flow, and send a notice when it fails; see `announce_end`.

    A flow within another one tells how it ended; that it failed is told by the outermost alone.

    Args:
        flow: its name.
        workspace: where logs and the notices' configuration are.
        manifest: name or path, for the data set's name.
    """
    within = _current.get()
    this = Observed(flow, workspace, _dataset(manifest))
    token = _current.set(this)
    try:
        with logged(workspace), bound(flow=flow, flow_run=_flow_run(), dataset=this.dataset):
            began = time.perf_counter()
            _log.info("flow begins")
            try:
                yield this
            except Exception as error:
                _log.exception("flow failed", extra=_seconds(began))
                if within is None:
                    run = context().get("run")
                    announce(workspace, failed(flow, this.dataset, run, error, this.failed_stage))
                else:
                    within.failed_stage = within.failed_stage or this.failed_stage
                raise
            except BaseException as stop:  # interrupted by a person, or suspended until an answer
                _log.info("flow stopped", extra={**_seconds(began), "error": type(stop).__name__})
                raise
            _log.info("flow ended", extra=_seconds(began))
    finally:
        _current.reset(token)


def announce_end(result: RunResult) -> None:
    """Send the notices about how the flow at work ended, or came to wait for a person."""
    flow = _current.get()
    if flow is None:
        return
    counts = {"state": result.state, "findings": result.findings, "worked": result.worked}
    _log.info("result", extra={**counts, "run": result.run.name})
    for notice in ended(flow.flow, flow.dataset, result):
        announce(flow.workspace, notice)


def announce_gate(run: Path, conditions: dict[str, int]) -> None:
    """Send the notice that the audit of the flow at work ended, and does not pass: condition -> checks that fail it."""
    flow = _current.get()
    if flow is None:
        return
    _log.info("gate failed", extra={"run": run.name, "count": sum(conditions.values())})
    announce(flow.workspace, not_passed(flow.flow, flow.dataset, run.name, conditions))


def stage_failed(stage: str) -> None:
    """An error is passing through a stage."""
    flow = _current.get()
    if flow is not None:
        flow.failed_stage = flow.failed_stage or stage


def _seconds(began: float) -> dict[str, float]:
    return {"seconds": round(time.perf_counter() - began, 3)}


def _dataset(manifest: str | None) -> str | None:
    """The data set's name as the manifest says it; None where the manifest is what is wrong."""
    from pipeline.ingest import find_manifest

    if manifest is not None:
        with suppress(CxrAuditError):
            return find_manifest(manifest).name
    return None


def _flow_run() -> str | None:
    from prefect.runtime import flow_run

    run: str | None = flow_run.id
    return run
