"""What a cleanse left behind: a fingerprint of the class, or marks that the detectors still find."""

from __future__ import annotations

from pathlib import Path

from flows.cluster import spread
from flows.console import progress
from flows.tasks.policy import stage
from flows.tasks.repair import planned_regions
from pipeline.artifacts import write_json, write_parquet
from pipeline.dataset import DatasetVersion


@stage("check fingerprint")
def fingerprint(run: Path, dataset: Path, cleansed: Path, seed: int) -> None:
    """Write fingerprint.json: are the classes easier to tell from the filled places alone than before?"""
    from pipeline.cleanse import Plan, check_fingerprint

    data, result = DatasetVersion(dataset), DatasetVersion(cleansed)
    plan, regions = Plan.read(run / "plan.yaml"), planned_regions(run)
    write_json(run / "fingerprint.json", check_fingerprint(data, result, plan, regions, seed=seed))


@stage("look again")
def residual(run: Path, dataset: Path, cleansed: Path, seed: int) -> None:
    """Write residual.json and residual.parquet: what the detectors still find where something was filled."""
    from pipeline.cleanse import Plan, check_residual, filled_rows
    from pipeline.flag import detect_dataset

    data, result = DatasetVersion(dataset), DatasetVersion(cleansed)
    plan, regions = Plan.read(run / "plan.yaml"), planned_regions(run)
    again = run / "regions_again.parquet"
    rows = filled_rows(data, result, plan)
    found = detect_dataset(result, again, rows=rows, spread=spread(), progress=progress())
    counts, left = check_residual(data, result, plan, regions, found, seed=seed)
    again.unlink()
    # The table first: the counts say that both are there.
    write_parquet(run / "residual.parquet", left)
    write_json(run / "residual.json", counts)
