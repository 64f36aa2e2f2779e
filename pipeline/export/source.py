"""What is exported: a data-set version, the regions found on it, and what a plan does with them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from pipeline.cleanse.holes import HolesOf
from pipeline.cleanse.plan import Plan
from pipeline.dataset import DatasetVersion
from pipeline.export.images import ExportImage, PackedHoles, Painting
from pipeline.export.layout import png_names

REGION_COLUMNS: Final = (
    *("region_id", "image_id", "kind", "text", "x0", "y0", "x1", "y1", "detector", "confidence"),
    *("removed", "held_back", "finding"),
)
"""Columns of `Source.regions`. Boxes: pixels of the original file, x1 and y1 exclusive; `removed` (bool): the plan
fills it; `held_back`: why it is left to a person, null where it is not; `finding`: whose line decides, null: none."""
MAY_IDENTIFY: Final = frozenset({"word", "date", "number", "identifier", "glyph", "mark"})
"""Kinds that can hold a name, a date or a number of a person; side, position and panel letters are vocabulary."""


@dataclass(frozen=True)
class Source:
    """One version with everything an export says about it.

    Attributes:
        dataset: the version that was ingested from files: their paths, hashes and sizes.
        version: the version that is exported: `dataset`, or one cleansed from it.
        regions: `REGION_COLUMNS`, one row a detected region; None where nothing was detected.
        plan: what made `version` from `dataset`; None: nothing.
        holes: what `plan` fills, decoys included; None: nothing.
        how: what its fills need.
        approved: a person decided every removal of the plan.
        still_found: image ids where detectors found something again at a filled place; None: they did not look.
        run: the run it comes from.
    """

    dataset: DatasetVersion
    version: str
    regions: pd.DataFrame | None = None
    plan: Plan | None = None
    holes: HolesOf | None = None
    how: Painting = field(default_factory=Painting)
    approved: bool = False
    still_found: frozenset[str] | None = None
    run: str | None = None

    def images(self) -> list[ExportImage]:
        """All images in table order."""
        names = png_names(self.dataset.images["path"].astype(str))
        removed, doubtful = self._removed(), self._doubtful()
        return [
            ExportImage(
                image_id=record["image_id"],
                path=record["path"],
                file_sha256=record["file_sha256"],
                width=int(record["width"]),
                height=int(record["height"]),
                png=names[record["path"]],
                holes=None if self.holes is None else PackedHoles.of(self.holes(record)),
                fills=self.plan.fills if self.plan else (),
                marker=self.plan is not None and self.plan.normalises,
                removed=removed.get(record["image_id"], ()),
                cleared=doubtful is not None and record["image_id"] not in doubtful,
            )
            for record in self.dataset.images.to_dict("records")
        ]

    def _removed(self) -> dict[str, tuple[tuple[str, int], ...]]:
        if self.regions is None:
            return {}
        gone = self.regions[self.regions["removed"]]
        by_image = gone["kind"].groupby(gone["image_id"].astype(str))
        return {str(name): tuple(sorted(Counter(map(str, kinds)).items())) for name, kinds in by_image}

    def _doubtful(self) -> frozenset[str] | None:
        """Images that may still show who is on them; None: all, because nobody or no detector looked again."""
        if not self.approved or self.still_found is None or self.regions is None:
            return None
        left = self.regions[~self.regions["removed"] & self.regions["kind"].isin(MAY_IDENTIFY)]
        return self.still_found | frozenset(left["image_id"].astype(str))

    def origin(self) -> dict[str, Any]:
        """What the export follows from, for export.json."""
        meta = self.dataset.meta
        plan = None if self.plan is None else self.plan.identity()
        return {"dataset": meta.name, "ingested": meta.version, "version": self.version, "plan_identity": plan}
