"""A run and its data set, opened once for all that the page asks about them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from flows.audit import Audited
from pipeline.artifacts import read_json
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError


@dataclass(frozen=True)
class Studied:
    """What neither a review nor a repair changes."""

    audited: Audited
    dataset: DatasetVersion
    rows: dict[str, int]
    """Row of the images table by image id."""

    def row(self, image_id: str) -> int:
        """Row of an image.

        Raises:
            InputError: it is not in the data set.
        """
        if image_id not in self.rows:
            raise InputError(f"Image {image_id[:12]} is not in data set {self.dataset.meta.name}.")
        return self.rows[image_id]


@lru_cache(maxsize=8)
def studied(run: Path) -> Studied:
    """The run in folder `run`."""
    audited = Audited.of(run, read_json(run / "run.json")["request"])
    dataset = DatasetVersion(audited.dataset)
    return Studied(audited, dataset, {str(name): row for row, name in enumerate(dataset.images["image_id"])})
