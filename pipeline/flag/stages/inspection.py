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

from pipeline.artifacts import read_json, read_parquet, write_json, write_parquet
from pipeline.config import AuditConfig
from pipeline.dataset import DatasetVersion
from pipeline.flag.sample import looked_at
from pipeline.inference import ClassifierSource
from pipeline.progress import Progress, silent
from pipeline.spread import Spread, here


@dataclass(frozen=True)
class Inspection:
    """One classifier on one data set, and the folder in which everything found out about them lies.

    Attributes:
        dataset: what is audited.
        folder: of the run; holds predictions.parquet before the first stage.
        config: settings of the audit.
        source: of the classifier; opened by the stages that need it.
        spread: who does the parts of stages that fall into parts.
        progress: told how far a stage is.
        only: rows that stages about single images keep to, where an earlier audit knows the others; None: no limit.
        out: folder for the artifacts of stages about single images; `folder` when None.
    """

    dataset: DatasetVersion
    folder: Path
    config: AuditConfig
    source: ClassifierSource
    spread: Spread = here
    progress: Progress = silent
    only: NDArray[np.int64] | None = None
    out: Path | None = None

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of the images that the detectors look at."""
        return looked_at(self.dataset, self.config.flag.looked_at, self.config.seed)

    def left(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of `rows` that a stage about single images has to look at, ascending."""
        return rows if self.only is None else np.intersect1d(rows, self.only)

    def place(self, artifact: str) -> Path:
        """Where a stage about single images leaves its artifact."""
        return (self.out or self.folder) / artifact

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
        model, spec = self.source()
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
        rows: of a stage about single images, where no result depends on other images: which it is about.
        gpu: whether the classifier runs. Such a stage is done as a whole by one worker.
    """

    title: str
    artifact: str
    needs: tuple[str, ...]
    work: Callable[[Inspection], None]
    gpu: bool = False
    rows: Callable[[Inspection], NDArray[np.int64]] | None = None
