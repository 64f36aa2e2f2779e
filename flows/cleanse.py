"""The `cleanse` flow: decisions or an edited plan -> plan -> cleansed version. Nothing is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow
from pydantic import BaseModel

from flows.audit import Audited
from flows.cleansing import accepted_findings, cleansed, planned, to_repair
from flows.cluster import spreading
from flows.request import Policy
from flows.review.frozen import frozen
from flows.steps import Steps
from flows.tasks import repair
from pipeline.artifacts import read_json, read_parquet
from pipeline.cleanse import Plan
from pipeline.errors import EmptyResultError


class Cleansed(BaseModel):
    """The end of a cleanse, or of its dry run."""

    run: Path
    plan: Path
    version: Path | None
    """Folder of the cleansed version; null after a dry run."""
    impact: dict[str, dict[str, Any]]
    """What the plan changes, by class: see `pipeline.cleanse.ClassImpact`."""
    changed: dict[str, dict[str, Any]] | None
    """What was changed, decoys included, by class: see `pipeline.cleanse.impact.by_class`; null after a dry run."""
    held_back: dict[str, int]
    """Regions left for a person, by reason."""
    worked: int
    """Stages that had to work; 0 when everything was there already."""


@flow(name="cleanse", description="Fill what was accepted, in all classes alike; a new version, no training.")
def cleanse(
    run: Path,
    plan: Path | None = None,
    accept: Policy = "none",
    device: str = "auto",
    dry_run: bool = False,
    workers: int = 2,
) -> Cleansed:
    """Make the cleansed version of a run's data set.

    Args:
        run: folder of an audited run.
        plan: a plan that a person edited; otherwise the run's own, made from its decisions where there is none.
        accept: "confirmed" also accepts confirmed findings that nobody decided about.
        device: where fills that are networks run: auto, cpu or cuda.
        dry_run: stop at the plan.
        workers: processes for mark detection.

    Raises:
        CxrAuditError: what the user gave cannot be used; the message says what to do.
    """
    asked = read_json(run / "run.json")["request"]
    audited = Audited.of(run, asked)
    with spreading(None, workers, run.parent.parent), Steps() as steps:
        steps.open(run, asked)
        repair.freeze(run)
        _plan(audited, plan, accept, device, steps)
        if dry_run:
            return _result(run, None, steps.worked)
        versions = cleansed(audited, ("cleansed",), device, steps)
        return _result(run, versions["cleansed"], steps.worked)


def _plan(audited: Audited, edited: Path | None, accept: Policy, device: str, steps: Steps) -> None:
    run, review = audited.run, frozen(audited.run)
    accepted = accepted_findings(run, accept, review)
    if edited is None and not to_repair(run, accepted, review) and not (run / "plan.yaml").exists():
        raise EmptyResultError(
            f"Nobody accepted a finding or a region of run {run.name} and it has no plan. Accept findings with "
            f"`cxr-audit decide {run.name} FINDING accepted`, take what the causal test confirmed with "
            "`--accept confirmed`, or give a plan with --plan."
        )
    planned(audited, accepted, edited, device, steps)


def _result(run: Path, version: Path | None, worked: int) -> Cleansed:
    held: pd.DataFrame = read_parquet(run / repair.HELD_BACK)
    return Cleansed(
        run=run,
        plan=run / "plan.yaml",
        version=version,
        impact={name: count.model_dump() for name, count in Plan.read(run / "plan.yaml").impact.items()},
        changed=None if version is None else read_json(version / "lineage.json")["changed"],
        held_back={str(name): int(count) for name, count in held["reason"].value_counts().sort_index().items()},
        worked=worked,
    )
