"""From accepted findings to clean data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from flows.cluster import spread
from flows.console import progress
from flows.request import resolve_device
from flows.review.frozen import REVIEWED, Review, frozen
from flows.tasks.lung_fields import lung_fields, lungs_name
from flows.tasks.policy import stage
from flows.workspace import Workspace
from pipeline.artifacts import (
    RunFolder,
    code_version,
    content_hash,
    read_json,
    read_parquet,
    sha256_file,
    write_json,
    write_parquet,
)
from pipeline.config import AuditConfig
from pipeline.dataset import DatasetVersion
from pipeline.types import REGION_KINDS

if TYPE_CHECKING:
    from pipeline.cleanse import Lungs, Plan

ALL_REGIONS = "regions_all.parquet"
"""Regions of every image; an audit of a large data set looks at a sample only."""
HELD_BACK = "held_back.parquet"
"""Regions that the plan leaves for a person, with the reason."""
PLANNED = "regions_planned.parquet"
"""Regions as reviewers left them and as the plan judges them; what applies the plan takes these."""
VERSIONS = ("cleansed", "control", "marker_swapped")
"""What a comparison of before and after needs."""


@stage("detect the rest")
def detect_rest(run: Path, dataset: Path, config: AuditConfig) -> None:
    """Write regions_all.parquet: what the audit found, and the regions of the images it did not look at."""
    from pipeline.flag import detect_dataset, looked_at

    data, found = DatasetVersion(dataset), read_parquet(run / "regions.parquet")
    rest = np.setdiff1d(np.arange(len(data)), looked_at(data, config.flag.looked_at, config.seed))
    if len(rest):
        more = run / "regions_rest.parquet"
        found = pd.concat([found, detect_dataset(data, more, rows=rest, spread=spread(), progress=progress())])
        more.unlink()
    order = pd.Series(range(len(data)), index=data.images["image_id"].astype(str))
    ranked = found.assign(order=found["image_id"].map(order)).sort_values("order", kind="stable")
    write_parquet(run / ALL_REGIONS, ranked.drop(columns="order").reset_index(drop=True))


@stage("freeze decisions")
def freeze(run: Path) -> None:
    """Copy what reviewers decided from the database into the run, see `flows.review.frozen`."""
    from flows.review.frozen import freeze as copy

    copy(run)


def plan_key(folder: RunFolder, config: AuditConfig, accepted: dict[str, str], edited: Path | None = None) -> str:
    """What plan.yaml, held_back.parquet and regions_planned.parquet follow from."""
    run = folder.path
    made_of = [folder.sha256("findings.json"), folder.sha256(ALL_REGIONS), config.cleanse.model_dump(), lungs_name()]
    own = None if edited is None else sha256_file(edited)
    reviewed = sha256_file(run / REVIEWED) if (run / REVIEWED).exists() else None
    left = left_alone(run, frozen(run))
    return content_hash([accepted, left, reviewed, own, made_of, code_version("pipeline.cleanse")])


@stage("plan")
def plan(run: Path, dataset: Path, config: AuditConfig, accepted: dict[str, str], edited: Path | None = None) -> None:
    """Write plan.yaml, held_back.parquet and regions_planned.parquet, see `chosen_plan`.

    Args:
        run: with findings.json and regions_all.parquet.
        dataset: the version to cleanse.
        config: fill, dilation, policies.
        accepted: the findings to repair.
        edited: a plan to take instead of all that.
    """
    from pipeline.cleanse import held_back_table

    data, review = DatasetVersion(dataset), frozen(run)
    lungs = lung_fields(Workspace(run.parent.parent), data)
    regions = review.over(read_parquet(run / ALL_REGIONS))
    chosen, judged = chosen_plan(run, data, config, accepted, review, regions, lungs, edited=edited)
    write_parquet(run / HELD_BACK, held_back_table(judged))
    write_parquet(run / PLANNED, judged)
    chosen.write(run / "plan.yaml")


def chosen_plan(
    run: Path,
    data: DatasetVersion,
    config: AuditConfig,
    accepted: dict[str, str],
    review: Review,
    regions: pd.DataFrame,
    lungs: Lungs | None,
    *,
    edited: Path | None = None,
) -> tuple[Plan, pd.DataFrame]:
    """The plan that follows from findings (id -> who accepted them) and decided regions, or as a person edited it.

    A plan.yaml whose lines a person changed since it was made stays; only its counts are made anew. So does one where
    nothing is accepted.

    Returns:
        The plan, and the regions as `pipeline.cleanse.hold_back` judges them.
    """
    from pipeline.cleanse import Plan, draft_plan, hold_back, recounted

    path = run / "plan.yaml"
    if edited is None and path.exists() and (not (accepted or review.removes) or Plan.read(path).edited):
        edited = path
    if edited is None:
        findings, left = read_json(run / "findings.json")["findings"], left_alone(run, review)
        chosen = draft_plan(findings, regions, data, config.cleanse, accepted, left=left)
    else:
        chosen = Plan.read(edited)
    judged = hold_back(chosen, regions, data, lungs)
    return recounted(chosen, judged, data, lungs), judged


def left_alone(run: Path, review: Review) -> dict[str, tuple[Literal["keep", "review"], str]]:
    """Findings about regions that a person decided not to remove: what the plan says of them, and who decided."""
    kinds = {str(entry["id"]): entry["kind"] for entry in read_json(run / "findings.json")["findings"]}
    policies: dict[str, Literal["keep", "review"]] = {"rejected": "keep", "keep": "keep", "unsure": "review"}
    return {
        name: (policies[entry.decision], f"{entry.who}: {entry.decision}")
        for name, entry in review.findings.items()
        if entry.decision in policies and kinds.get(name) in REGION_KINDS
    }


def planned_regions(run: Path) -> pd.DataFrame:
    """Regions of all images as the run's plan judges them; what applies the plan takes these."""
    return read_parquet(run / PLANNED)


@stage("cleanse")
def cleanse(
    run: Path, dataset: Path, config: AuditConfig, wanted: Sequence[str] = VERSIONS, device: str = "cpu"
) -> tuple[dict[str, Path], int]:
    """Make the versions a comparison needs: cleansed, random-region control, marker-swapped test images.

    Returns their folders, and how many of them had to be made.
    """
    from pipeline.cleanse import Plan, apply_plan, marker_swapped, random_control

    workspace, data = Workspace(run.parent.parent), DatasetVersion(dataset)
    there = set(dataset.parent.iterdir())
    plan, regions, root = Plan.read(run / "plan.yaml"), planned_regions(run), dataset.parent.parent
    where, told = resolve_device(device), progress()

    def made(make: Callable[..., DatasetVersion], **options: Any) -> DatasetVersion:
        how = {"seed": config.seed, "bundles": workspace.models, "device": where, "progress": told}
        return make(data, plan, regions, root, **how, **options)

    decoys = {"decoys": config.cleanse.decoys, "lungs": lung_fields(workspace, data)}
    makers: dict[str, Callable[[], DatasetVersion]] = {
        "cleansed": lambda: made(apply_plan, **decoys),
        "control": lambda: made(random_control, **decoys),
        "marker_swapped": lambda: made(marker_swapped),
    }
    versions = {name: makers[name]().path for name in wanted}
    write_json(run / "versions.json", {name: path.name for name, path in versions.items()})
    return versions, len(set(versions.values()) - there)
