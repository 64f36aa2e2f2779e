"""What all trials of one benchmark share: the base images, the settings, and where things lie.

<out>/base/              the images without marks: a dataset version of two classes
      sheets/<mark>/     version/ (every base image with that mark), planted.parquet (the truth), regions.parquet
      references/<n>/    classifiers trained without marks
      trials/<id>.json   one record a finished trial; <id>/ while it runs
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.benchmark.shortcuts.grid import Mark, Subset, Trial
from pipeline.config import AuditConfig, audit_config
from pipeline.dataset import DatasetVersion
from pipeline.randomness import derive_seed

_TRAIN = {"network": "small", "input_size": 128, "learning_rate": 0.003, "batch_size": 16}
# What a trial spends beyond training must not outweigh it: few maps, few pasted marks; both are evidence beside the
# causal test, which decides.
_EXPLAIN = {"methods": ["grad-cam"], "mask_size": 16, "batch_size": 8}
_SUBSETS: dict[Subset, dict[str, dict[str, Any]]] = {
    "full": {
        "train": {"epochs": 12, "patience": 12},
        "explain": {"images": 12},
        "flag": {"images": 120, "transplants": 12},
    },
    "ci": {
        "train": {"epochs": 8, "patience": 8, "batch_size": 8, "augment": False},
        "explain": {"images": 4},
        "flag": {"images": 48, "transplants": 4},
    },
}


def audit_settings(subset: Subset, seed: int) -> AuditConfig:
    """Settings of training, audit and cleansing in every trial."""
    return audit_config("quick", {"seed": seed, "train": _TRAIN, "explain": _EXPLAIN}, _SUBSETS[subset])


@dataclass(frozen=True)
class Study:
    """One benchmark: a folder, a seed and settings. Small and plain, so that worker processes can be handed it."""

    out: Path
    seed: int
    config: AuditConfig

    @property
    def base_folder(self) -> Path:
        """The images without marks."""
        return self.out / "base"

    def base(self) -> DatasetVersion:
        """The images without marks."""
        return DatasetVersion(self.base_folder)

    def sheet(self, mark: Mark | None) -> Path:
        """All base images with `mark`; without any when None."""
        return self.out / "sheets" / (mark.id if mark else "none")

    def reference(self, replicate: int) -> Path:
        """The classifier trained without marks under the seed of `replicate`."""
        return self.out / "references" / str(replicate)

    def record(self, trial: Trial) -> Path:
        """Result of `trial`; there once it is finished."""
        return self.out / "trials" / f"{trial.id}.json"

    def workplace(self, trial: Trial) -> Path:
        """Files of `trial` while it runs."""
        return self.out / "trials" / trial.id

    def training_seed(self, replicate: int) -> int:
        """Seed of all trainings of `replicate`."""
        return derive_seed(self.seed, "shortcut training", replicate)
