"""What a manifest finds below a data root, in numbers, before any image is opened."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.errors import ProblemReason
from pipeline.ingest.manifest_schema import Manifest
from pipeline.ingest.sources import read_rows

UNPINNED = "to be drawn"


@dataclass(frozen=True)
class Group:
    """Images of one source, class and split."""

    source: str
    label: str
    split: str
    """A pinned split, ``other_source``, or ``to be drawn``."""
    images: int
    patients: int
    """Distinct known patients."""
    without_patient: int
    """Images whose patient is unknown: each counts as its own patient when splits are drawn."""


@dataclass(frozen=True)
class CheckReport:
    """Counts by source, class and split, and by problem; ``images`` + all problems = all that was met."""

    manifest: str
    images: int
    patients: int
    groups: tuple[Group, ...]
    problems: dict[str, int]
    """`ProblemReason` value -> how many."""
    missing_files: tuple[str, ...]

    def by(self, field: str) -> dict[str, int]:
        """Images for each value of `field`: source, label or split."""
        counts: dict[str, int] = {}
        for group in self.groups:
            value = str(getattr(group, field))
            counts[value] = counts.get(value, 0) + group.images
        return counts

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def check_manifest(manifest: Manifest, data_root: Path) -> CheckReport:
    """Count what `manifest` finds below `data_root`.

    Raises:
        InputError: see `read_rows`.
        EmptyResultError: see `read_rows`.
    """
    found = read_rows(manifest, data_root)
    reasons = found.problems["reason"]
    return CheckReport(
        manifest=manifest.name,
        images=len(found.rows),
        patients=int(found.rows["patient_id"].nunique()),
        groups=_groups(found.rows),
        problems={str(reason): int(count) for reason, count in reasons.value_counts().sort_index().items()},
        missing_files=tuple(found.problems.loc[reasons == ProblemReason.MISSING_FILE.value, "path"]),
    )


def _groups(rows: pd.DataFrame) -> tuple[Group, ...]:
    rows = rows.assign(split=rows["split"].fillna(UNPINNED), unknown=rows["patient_id"].isna())
    counts = rows.groupby(["source", "label", "split"], as_index=False).agg(
        images=("path", "size"), patients=("patient_id", "nunique"), without_patient=("unknown", "sum")
    )
    texts = zip(counts["source"], counts["label"], counts["split"], strict=True)
    numbers = zip(counts["images"], counts["patients"], counts["without_patient"], strict=True)
    return tuple(Group(*text, *map(int, number)) for text, number in zip(texts, numbers, strict=True))
