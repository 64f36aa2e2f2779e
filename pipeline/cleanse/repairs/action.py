"""What every repair action is: a class-blind change of what is learned from, of every picture, or of the training."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.artifacts import code_version, content_hash
from pipeline.cleanse.lungs import Lungs
from pipeline.cleanse.plan import Plan
from pipeline.dataset import DatasetVersion, Edit, derive_version
from pipeline.integrity import present
from pipeline.progress import Progress, silent

Transform = Callable[[DatasetVersion], DatasetVersion]
"""Changes every picture of a version, as it would change every picture of a hospital that uses the classifier."""


@dataclass(frozen=True)
class Bench:
    """What actions work with.

    Attributes:
        dataset: the version to repair; never changed.
        plan: what fills remove; made for `dataset`.
        regions: all detected regions of `dataset`, marked by `pipeline.cleanse.hold_back`.
        find_lungs: the lungs of all images of a version; called only where they are needed.
        lungs_name: what finds them; part of the name of every version that depends on lungs.
        root: new versions go to ``<root>/<name>/<version>``.
        decoys: whether fills also fill images without marks, see `pipeline.cleanse.apply_plan`.
        seed: of decoys, controls and noise.
        bundles: see `pipeline.fills.fill`.
        device: where fills that are networks run.
        progress: told about versions being written.
    """

    dataset: DatasetVersion
    plan: Plan
    regions: pd.DataFrame
    find_lungs: Callable[[DatasetVersion], Lungs]
    lungs_name: str
    root: Path
    decoys: bool = True
    seed: int = 0
    bundles: Path | None = None
    device: str = "cpu"
    progress: Progress = silent


class Action(BaseModel):
    """One step of a repair. Never sees the class of an image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: str


class DataAction(Action):
    """Changes what is learned from and nothing else: test images stay as a hospital would send them."""

    @abstractmethod
    def learned_from(self, bench: Bench, version: DatasetVersion) -> DatasetVersion:
        """`version` with its splits train and val repaired; the parts of other splits are not looked at."""


class PixelAction(Action):
    """Changes every picture, in training and in use: it would be part of the deployed pipeline."""

    @abstractmethod
    def fitted(self, bench: Bench, version: DatasetVersion) -> Transform:
        """The change, with whatever it must know of other pictures taken from split train of `version`."""


class TrainingAction(Action):
    """Changes how is learned."""

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Fields of `pipeline.config.TrainConfig` that it sets."""


@dataclass(frozen=True)
class Change:
    """How a version follows from its parent.

    Attributes:
        parent: with the images table that the new version is to have.
        rows: of `parent`, to keep.
        edit: see `pipeline.dataset.Edit`.
        facts: counts for lineage.json.
    """

    parent: DatasetVersion
    rows: NDArray[np.int64]
    edit: Edit
    facts: dict[str, Any] = field(default_factory=dict)


def derived(
    version: DatasetVersion, root: Path, identity: dict[str, Any], change: Callable[[], Change]
) -> DatasetVersion:
    """The version that `identity` names, made by `change` unless it is there.

    Args:
        version: its parent.
        root: see `Bench`.
        identity: operation and everything else that the result follows from, besides parent and code.
        change: called only when there is something to do.
    """
    code = code_version("pipeline.cleanse.repairs", "pipeline.cleanse.masks", "pipeline.cleanse.lungs")
    whole = {**identity, "dataset": version.meta.version, "code": code}
    name = content_hash(whole)
    target = root / version.meta.name / name
    if present(target):
        return DatasetVersion(target)
    made = change()
    return derive_version(made.parent, target, made.rows, made.edit, name, {**whole, **made.facts})
