"""Writing a derived version: what it follows from is its name, and stays beside it as lineage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from pipeline.artifacts import canonical_json, code_version, content_hash
from pipeline.cleanse.lungs import Lungs
from pipeline.cleanse.plan import Plan, regions_to_clean
from pipeline.dataset import DatasetVersion, Edit, derive_version
from pipeline.errors import InputError
from pipeline.fills import fill_version
from pipeline.integrity import present
from pipeline.progress import Progress, silent


def lineage(
    operation: str,
    dataset: DatasetVersion,
    plan: Plan,
    regions: pd.DataFrame,
    seed: int,
    *,
    bundles: Path | None = None,
    lungs: Lungs | None = None,
) -> dict[str, Any]:
    """Everything a derived version follows from; its hash is the version.

    Raises:
        InputError: `plan` was made for another data set.
    """
    if plan.dataset != dataset.meta.version:
        raise InputError(
            f"The plan was made for data set version {plan.dataset}, this is version {dataset.meta.version}. "
            "Make a new plan."
        )
    return {
        "operation": operation,
        "dataset": dataset.meta.version,
        "plan": plan.identity(),
        "fills": {name: fill_version(name, bundles) for name in plan.fills},
        "regions": content_hash([_named(table) for table in (regions_to_clean(plan, regions), regions)]),
        "lungs": None if lungs is None else lungs.name,
        "seed": seed,
        "code": code_version("pipeline.cleanse"),
    }


def _named(regions: pd.DataFrame) -> list[str]:
    """Every region by what decides about it, in an order of their own."""
    named = regions[["image_id", "kind", "text", "x0", "y0", "x1", "y1"]]
    return sorted(canonical_json([None if pd.isna(value) else value for value in row]) for row in named.to_numpy())


def derive(
    dataset: DatasetVersion,
    rows: NDArray[np.int64],
    edit: Edit,
    identity: dict[str, Any],
    datasets_root: Path,
    *,
    facts: Callable[[], dict[str, Any]] = dict,
    progress: Progress = silent,
) -> DatasetVersion:
    """Write `rows` of `dataset` through `edit`, as the version that `identity` names, unless it is there.

    Args:
        dataset: never changed.
        rows: which images.
        edit: changes one shard.
        identity: as `lineage` gives it, and what else the version follows from.
        datasets_root: the new version goes to ``<datasets_root>/<name>/<version>``.
        facts: called once, before anything is written; what it returns joins the lineage.
        progress: told about the stage that is called like the operation.
    """
    version = content_hash(identity)
    target = datasets_root / dataset.meta.name / version
    if present(target):
        return DatasetVersion(target)
    operation, done = str(identity["operation"]), 0

    def told(table: pd.DataFrame, images: Tensor) -> Tensor:
        nonlocal done
        edited = edit(table, images)
        done += len(table)
        progress(operation, done, len(rows))
        return edited

    made = derive_version(dataset, target, rows, told, version, {**identity, **facts()})
    progress(operation, len(rows), len(rows))  # shards of an interrupted attempt were not counted
    return made
