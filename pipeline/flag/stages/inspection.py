"""What the stages of an audit work on, and what a stage is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from models.spec import ModelSpec
from pipeline.artifacts import read_json, read_parquet, write_json, write_parquet
from pipeline.config import AuditConfig
from pipeline.dataset import DatasetVersion
from pipeline.flag.sample import looked_at
from pipeline.progress import Progress, silent

Classifier = tuple[nn.Module, ModelSpec]


@dataclass(frozen=True)
class Inspection:
    """One classifier on one data set, and the folder in which everything found out about them lies.

    Attributes:
        dataset: what is audited.
        folder: of the run; holds predictions.parquet before the first stage.
        config: settings of the audit.
        load: gives the classifier, in evaluation mode, and its contract; called by the stages that need it.
        workers: processes for looking at images.
        progress: told how far a stage is.
    """

    dataset: DatasetVersion
    folder: Path
    config: AuditConfig
    load: Callable[[], Classifier]
    workers: int = 1
    progress: Progress = silent

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of the images that the detectors look at."""
        return looked_at(self.dataset, self.config.flag.looked_at, self.config.seed)

    def table(self, name: str) -> pd.DataFrame:
        """The table ``<name>.parquet`` that an earlier stage made."""
        return read_parquet(self.folder / f"{name}.parquet")

    def write(self, name: str, table: pd.DataFrame) -> None:
        """Store ``<name>.parquet``."""
        write_parquet(self.folder / f"{name}.parquet", table)

    def records(self, name: str) -> Any:
        """What an earlier stage stored as ``<name>.json``."""
        return read_json(self.folder / f"{name}.json")

    def write_records(self, name: str, value: Any) -> None:
        """Store ``<name>.json``."""
        write_json(self.folder / f"{name}.json", value)

    def test(self, name: str, test: Callable[..., pd.DataFrame], *given: Any, **options: Any) -> None:
        """Run a causal test of the classifier and store its table as ``<name>.parquet``; an interrupted one goes on.

        Args:
            name: of the table.
            test: `intervene`, `transplant` or `move_traits`.
            given: what it takes between data set and settings.
            options: what only this test takes by name.
        """
        model, spec = self.load()
        partial = self.folder / f"{name}.partial"
        table = test(
            model,
            spec,
            self.dataset,
            *given,
            self.config.flag,
            seed=self.config.seed,
            classes=self.dataset.meta.classes,
            out=partial,
            progress=self.progress,
            **options,
        )
        self.write(name, table)
        shutil.rmtree(partial, ignore_errors=True)


@dataclass(frozen=True)
class Stage:
    """One artifact of an audit.

    Attributes:
        title: what it does, for people.
        artifact: file or folder it makes.
        needs: artifacts it is made from, besides data set, classifier and settings.
        work: makes it.
        gpu: whether the classifier runs.
    """

    title: str
    artifact: str
    needs: tuple[str, ...]
    work: Callable[[Inspection], None]
    gpu: bool = False
