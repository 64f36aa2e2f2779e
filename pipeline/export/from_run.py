"""What to export, read from a workspace: a run with its plan, or a data-set version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.artifacts import read_json, read_parquet
from pipeline.cleanse import Lungs, Plan, regions_to_clean
from pipeline.cleanse.apply import planned
from pipeline.cleanse.plan import policies
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError
from pipeline.export.images import Painting
from pipeline.export.source import REGION_COLUMNS, Source

FindLungs = Callable[[DatasetVersion], Lungs]

POLICY = "policy"
"""How `decided_by` of a plan's line begins where no person decided."""


def source_of_run(
    run: Path, datasets: Path, *, find_lungs: FindLungs | None = None, bundles: Path | None = None
) -> Source:
    """The cleansed version of a run; before its repair, the version that was audited, with its regions.

    Args:
        run: folder of a run.
        datasets: folder ``<name>/<version>/``.
        find_lungs: the data set's lung fields, which say where no decoy lies; asked only where the cleansed version
            was made with some.
        bundles: see `pipeline.fills.fill`.

    Raises:
        InputError: the plan or the lung fields are not those that the cleansed version was made with.
    """
    dataset = DatasetVersion(datasets / read_json(run / "run.json")["request"]["dataset"])
    versions = read_json(run / "versions.json") if (run / "versions.json").exists() else {}
    if "cleansed" not in versions:
        return _audited(run, dataset)
    plan, cleansed = Plan.read(run / "plan.yaml"), versions["cleansed"]
    made = read_json(datasets / dataset.meta.name / cleansed / "lineage.json")
    lungs = find_lungs(dataset) if find_lungs and made["lungs"] else None
    _check_same(made, plan, lungs, run)
    regions = read_parquet(run / "regions_planned.parquet").reset_index(drop=True)
    return Source(
        dataset,
        cleansed,
        _described(regions, plan),
        plan,
        planned(dataset.images, plan, regions, decoys=made["decoys"], seed=made["seed"], lungs=lungs),
        Painting(made["seed"], bundles),
        approved=all(not line.decided_by.startswith(POLICY) for line in plan.lines),
        still_found=_still_found(run),
        run=run.name,
    )


def source_of_version(
    version: Path, runs: Path, *, find_lungs: FindLungs | None = None, bundles: Path | None = None
) -> Source:
    """A version by its folder: an ingested one as it is, a cleansed one through the run that made it.

    Raises:
        InputError: the version was derived in another way, so no file of it can be written at full size.
    """
    dataset, lineage = DatasetVersion(version), read_json(version / "lineage.json")
    if lineage.get("parent") is None:
        return Source(dataset, dataset.meta.version)
    for ledger in sorted(runs.glob("*/versions.json")):
        if read_json(ledger).get("cleansed") == dataset.meta.version:
            return source_of_run(ledger.parent, version.parent.parent, find_lungs=find_lungs, bundles=bundles)
    raise InputError(
        f"Data set version {dataset.meta.version} was derived ({lineage.get('operation')}) from {lineage['parent']} "
        f"and no run in {runs} names it as its cleansed version: its images exist in the pixel store only, at "
        f"{dataset.meta.size} pixels. Export the version it came from, or the run that cleansed it."
    )


def _audited(run: Path, dataset: DatasetVersion) -> Source:
    path = run / "regions.parquet"
    regions = _described(read_parquet(path), None) if path.exists() else None
    return Source(dataset, dataset.meta.version, regions, run=run.name)


def _check_same(made: dict[str, Any], plan: Plan, lungs: Lungs | None, run: Path) -> None:
    found = {"plan": plan.identity(), "lungs": None if lungs is None else lungs.name}
    other = [name for name, value in found.items() if made.get(name) != value]
    if not (run / "regions_planned.parquet").exists():
        other.append("regions")
    if other:
        raise InputError(
            f"The {' and '.join(other)} of run {run.name} changed since its data were cleansed. "
            f"Cleanse again: cxr-audit cleanse {run.name}."
        )


def _described(regions: pd.DataFrame, plan: Plan | None) -> pd.DataFrame:
    """`regions` with what the plan does with each: see `REGION_COLUMNS`."""
    if plan is None:
        return regions.reset_index(drop=True).assign(removed=False, held_back=None, finding=None)
    lines = policies(plan, regions)["line"].map(lambda number: plan.lines[number].finding, na_action="ignore")
    told = regions.assign(removed=regions.index.isin(regions_to_clean(plan, regions).index), finding=lines)
    return told[[name for name in REGION_COLUMNS if name in told]]


def _still_found(run: Path) -> frozenset[str] | None:
    if not (run / "residual.json").exists():
        return None
    return frozenset(read_parquet(run / "residual.parquet")["image_id"].astype(str))
