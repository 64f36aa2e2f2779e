"""What the tables of a report hold, counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pipeline.report.groups import UNKNOWN, age_bands

_SPLITS = ("train", "val", "test", "other_source")


def composition(images: pd.DataFrame, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Images by source, split and class, and patients; one line per source and split, then the total."""
    source = images["source"].astype("object").where(images["source"].notna(), UNKNOWN)
    split = images["split"].astype("object").where(images["split"].notna(), "none")
    lines = [
        _count(part, classes, source=str(key[0]), split=str(key[1]))
        for key, part in images.groupby([source, split], sort=True)
    ]
    return [*lines, _count(images, classes, source="all", split="")]


def characteristics(images: pd.DataFrame) -> dict[str, Any] | None:
    """Images by sex, age and view in every split: `splits` and `lines` of (attribute, value, count by split).

    None where the table knows none of the three.
    """
    splits = [name for name in _SPLITS if (images["split"] == name).any()]
    lines = []
    for attribute in (name for name in ("sex", "age", "view") if name in images and images[name].notna().any()):
        column = age_bands(images[attribute]) if attribute == "age" else images[attribute].astype("object")
        values = column.where(column.notna(), UNKNOWN).astype(str)
        counts = pd.crosstab(values, images["split"]).reindex(columns=splits, fill_value=0)
        lines += [(attribute, str(value), [int(count) for count in row]) for value, row in counts.iterrows()]
    return {"splits": splits, "lines": lines} if lines else None


def reasons(problems: pd.DataFrame | None) -> list[tuple[str, int]] | None:
    """How many rows could not be used, by reason; None when that is not known."""
    if problems is None:
        return None
    return [(str(reason), int(count)) for reason, count in problems["reason"].value_counts().sort_index().items()]


def held_back(regions: pd.DataFrame | None) -> list[tuple[str, str, int, int]]:
    """Regions left for a person to decide: (kind, reason, regions, images)."""
    if regions is None:
        return []
    return [
        (str(key[0]), str(key[1]), len(part), int(part["image_id"].nunique()))
        for key, part in regions.groupby(["kind", "reason"], sort=True)
    ]


def group_rows(condition: Mapping[str, Any], baseline: str, arm: str) -> list[dict[str, Any]]:
    """One line a group of a condition's images: what the baseline reached, what `arm` did, and the difference.

    Keys: `attribute`, `value`, `n`, `positives`, `patients`, and `before`, `after`, `difference`: metrics, or None in a
    group too small to be judged.
    """
    return [
        {
            **{key: group[key] for key in ("attribute", "value", "n", "positives", "patients")},
            "before": group.get(baseline),
            "after": group.get(arm),
            "difference": group.get("differences", {}).get(f"{arm}-{baseline}"),
        }
        for group in condition["groups"]
    ]


def _count(part: pd.DataFrame, classes: Sequence[str], **place: str) -> dict[str, Any]:
    return {
        **place,
        "classes": [int((part["label"] == name).sum()) for name in classes],
        "total": len(part),
        "patients": int(part["patient_id"].nunique()),
        "unknown_patients": int(part["patient_id"].isna().sum()),
    }
