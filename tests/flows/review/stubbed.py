"""What `cxr-audit serve` serves, with stages that take no time; loaded again by every flow run that it starts."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import flows.approval as approval_module
import flows.remediate as remediate_module
from flows import deployments
from flows.approval import audit_with_approval
from flows.audit import Audited, audit
from flows.remediate import remediate
from flows.request import AuditRequest
from flows.results import RunResult
from flows.review.at_work import at_work
from flows.run import run
from flows.steps import Steps
from flows.tasks.policy import stage
from flows.tasks.report import publish, result_of
from pipeline.artifacts import RunFolder, read_json, write_json
from pipeline.errors import StorageError

REQUEST: dict[str, Any] = {"dataset": "tiny/v1", "bundle": "small/b1", "config": {}}


@stage("train")
def _trained() -> None:
    """Stands for the work."""


def _repaired(audited: Audited, *_: Any) -> RunResult:
    with at_work(audited.run) as tell:
        _work(audited.run)
        words = [f"Repaired {audited.run.name}."]
        tell(result_of(audited.run, "complete", words, 1))
    return publish(audited.run, "complete", words, 1)


def _work(run: Path) -> None:
    _trained()
    if run.name == "full":
        raise StorageError("The disk is full: free some space.")
    while run.name == "slow":
        time.sleep(0.1)


def _found(request: AuditRequest, steps: Steps) -> Audited:
    folder = empty_run(request.workspace, "approved")
    with (folder / "audits").open("a") as stream:
        stream.write("audited\n")
    return Audited.of(folder, REQUEST)


def empty_run(workspace: Path, name: str) -> Path:
    """A run folder that has just what the stubs read."""
    folder = RunFolder(workspace / "runs" / name, REQUEST).path
    if not (folder / "findings.json").exists():
        write_json(folder / "findings.json", {"findings": []})
    return folder


def _hash(run: Path) -> str:
    return str(read_json(run / "decided.json")) if (run / "decided.json").exists() else "none"


approval_module.find_shortcuts = _found
approval_module.write_report = lambda *_: ["Audited."]  # type: ignore[assignment]
approval_module.repaired = _repaired
approval_module.decisions_hash = _hash
approval_module._question = lambda _run, current, number: f"{number}: {current}"
remediate_module.repaired = _repaired
__all__ = ["audit", "audit_with_approval", "remediate", "run"]

if __name__ == "__main__":
    served = deployments.deployments()
    names = {"audit-with-approval": "audit_with_approval"}
    for each in served:
        each.entrypoint = f"tests.flows.review.stubbed.{names.get(each.flow_name, each.flow_name)}"
    deployments.deployments = lambda: served
    deployments.register()
    worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", deployments.POOL, "--type", "process"]
    os.execv(sys.executable, worker)
