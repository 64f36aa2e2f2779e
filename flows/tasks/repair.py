"""From accepted findings to clean data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from flows.console import progress
from flows.tasks.policy import stage
from pipeline.artifacts import read_json, read_parquet, write_json, write_parquet
from pipeline.config import AuditConfig
from pipeline.dataset import DatasetVersion

ALL_REGIONS = "regions_all.parquet"
"""Regions of every image; an audit of a large data set looks at a sample only."""


@stage("detect the rest")
def detect_rest(run: Path, dataset: Path, config: AuditConfig, workers: int) -> None:
    """Write regions_all.parquet: what the audit found, and the regions of the images it did not look at."""
    from pipeline.flag import detect_dataset, looked_at

    data, found = DatasetVersion(dataset), read_parquet(run / "regions.parquet")
    rest = np.setdiff1d(np.arange(len(data)), looked_at(data, config.flag.looked_at, config.seed))
    if len(rest):
        more = run / "regions_rest.parquet"
        found = pd.concat([found, detect_dataset(data, more, rows=rest, workers=workers, progress=progress())])
        more.unlink()
    order = pd.Series(range(len(data)), index=data.images["image_id"].astype(str))
    ranked = found.assign(order=found["image_id"].map(order)).sort_values("order", kind="stable")
    write_parquet(run / ALL_REGIONS, ranked.drop(columns="order").reset_index(drop=True))


@stage("plan")
def plan(run: Path, dataset: Path, config: AuditConfig, accepted: dict[str, str]) -> None:
    """Write plan.yaml for the accepted findings (id -> who accepted)."""
    from pipeline.cleanse import make_plan

    findings = read_json(run / "findings.json")["findings"]
    regions = read_parquet(run / ALL_REGIONS)
    make_plan(findings, regions, DatasetVersion(dataset), config.cleanse, accepted).write(run / "plan.yaml")


@stage("cleanse")
def cleanse(run: Path, dataset: Path, config: AuditConfig) -> tuple[dict[str, Path], int]:
    """Make the versions a comparison needs: cleansed, random-region control, marker-swapped test images.

    Returns their folders, and how many of them had to be made.
    """
    from pipeline.cleanse import Plan, apply_plan, marker_swapped, random_control

    data, root = DatasetVersion(dataset), dataset.parent.parent
    there = set(dataset.parent.iterdir())
    chosen, regions = Plan.read(run / "plan.yaml"), read_parquet(run / ALL_REGIONS)
    decoys, seed = config.cleanse.decoys, config.seed
    makers: dict[str, Callable[[], DatasetVersion]] = {
        "cleansed": lambda: apply_plan(data, chosen, regions, root, decoys=decoys, seed=seed),
        "control": lambda: random_control(data, chosen, regions, root, decoys=decoys, seed=seed),
        "marker_swapped": lambda: marker_swapped(data, chosen, regions, root, seed=seed),
    }
    versions: dict[str, Path] = {}
    for name, make in makers.items():
        versions[name] = make().path
        progress()("cleanse", len(versions), len(makers))
    write_json(run / "versions.json", {name: path.name for name, path in versions.items()})
    return versions, len(set(versions.values()) - there)


@stage("probe cleansing")
def probe(run: Path, dataset: Path, cleansed: Path, seed: int) -> None:
    """Write probe.json: can a classifier tell cleansed places from untouched ones?"""
    from pipeline.cleanse import Plan, cleansing_probe

    result = cleansing_probe(
        DatasetVersion(dataset),
        DatasetVersion(cleansed),
        Plan.read(run / "plan.yaml"),
        read_parquet(run / ALL_REGIONS),
        seed=seed,
    )
    write_json(run / "probe.json", result)
