"""What a reader of the report must know of the data before believing any number: counts, gaps, copies, confounding."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import pandas as pd

from pipeline.artifacts import read_parquet
from pipeline.dataset import DatasetVersion

_MANY_REFUSED: Final = 0.1


def data_quality(dataset: DatasetVersion) -> dict[str, Any]:
    """The summary of a dataset version; see `summarise`."""
    return summarise(dataset.images, read_parquet(dataset.path / "problems.parquet"))


def summarise(images: pd.DataFrame, problems: pd.DataFrame) -> dict[str, Any]:
    """Counts of a dataset version, ready for JSON.

    Args:
        images: the images table.
        problems: path, reason, detail.

    Returns:
        ``rows`` (in, kept, refused), ``images`` (label, source, split, count), ``problems`` (reason -> count),
        ``patients``, ``near_duplicates``, ``views`` (label -> view -> count), ``source_only`` (how many images a guess
        of each source's commonest class gets right: a classifier that reads the source does that well) and
        ``warnings`` (sentences, possibly none).
    """
    summary = {
        "rows": {"in": len(images) + len(problems), "kept": len(images), "refused": len(problems)},
        "images": _counts(images),
        "problems": {str(reason): int(count) for reason, count in problems["reason"].value_counts().items()},
        "patients": _patients(images),
        "near_duplicates": _near_duplicates(images),
        "views": _views(images),
        "source_only": _source_only(images),
    }
    return {**summary, "warnings": _warnings(summary)}


def _counts(images: pd.DataFrame) -> list[dict[str, Any]]:
    keys = ["label", "source", "split"]
    sizes = Counter(zip(*(images[key] for key in keys), strict=True))
    return [{**dict(zip(keys, values, strict=True)), "count": count} for values, count in sorted(sizes.items())]


def _patients(images: pd.DataFrame) -> dict[str, int]:
    known = images["patient_id"].dropna()
    return {
        "known": int(known.nunique()),
        "images_with": len(known),
        "images_without": len(images) - len(known),
        "largest": int(known.value_counts().max()) if len(known) else 0,
    }


def _near_duplicates(images: pd.DataFrame) -> dict[str, int]:
    copies = images.dropna(subset=["duplicate_group"])
    kinds = copies.groupby("duplicate_group")[["source", "label"]].nunique()
    return {
        "groups": len(kinds),
        "images": len(copies),
        "groups_across_sources": int((kinds["source"] > 1).sum()),
        "groups_across_classes": int((kinds["label"] > 1).sum()),
    }


def _views(images: pd.DataFrame) -> dict[str, dict[str, int]]:
    table = pd.crosstab(images["label"], images["view"].fillna("unknown"))
    return {str(label): {str(view): int(count) for view, count in row.items()} for label, row in table.iterrows()}


def _source_only(images: pd.DataFrame) -> dict[str, int]:
    inside = images[images["split"] != "other_source"]
    right = pd.crosstab(inside["source"], inside["label"]).max(axis=1).sum()
    return {"right": int(right), "images": len(inside), "commonest_class": int(inside["label"].value_counts().max())}


def _warnings(summary: dict[str, Any]) -> list[str]:
    rows, patients, source = summary["rows"], summary["patients"], summary["source_only"]
    copies = summary["near_duplicates"]
    checks = {
        f"{rows['refused']} of {rows['in']} rows could not be used.": rows["refused"] > _MANY_REFUSED * rows["in"],
        f"{patients['images_without']} of {rows['kept']} images name no patient; each counts as a patient of its own, "
        "so one person may be in several splits.": patients["images_without"] > 0,
        f"Guessing the class from the source alone is right for {source['right']} of {source['images']} images; "
        f"always saying the commonest class for {source['commonest_class']}.": source["right"]
        > source["commonest_class"],
        f"{copies['groups_across_classes']} groups of near-identical pictures carry different labels.": copies[
            "groups_across_classes"
        ]
        > 0,
    }
    return [sentence for sentence, applies in checks.items() if applies]
