"""Evidence about the data set and the classifier as a whole, as tables with a sentence on how to read each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.report.content import EvidenceTable
from pipeline.report.evidence_figures import blackout_figure, mean_maps_figure

Record = Mapping[str, Any]

SHOWN = 12
"""Rows of a table that a reader still looks at; the artifacts hold all."""


@dataclass(frozen=True)
class WholeEvidence:
    """Artifacts of a run, read; see the stages of `pipeline.flag` for what each holds."""

    dataset: pd.DataFrame
    """Images table."""
    looked_at: Mapping[str, int]
    """Images of each split that the detectors looked at."""
    explained: int
    effects: pd.DataFrame
    profile: Record
    trait_association: pd.DataFrame
    lung_shares: Sequence[Record]
    blackout: Record
    features: Record
    clusters: Record
    subgroups: pd.DataFrame
    slices: Sequence[Record]


def evidence_tables(found: WholeEvidence) -> list[EvidenceTable]:
    """What a report shows beyond single findings, in reading order; empty tables say why they are empty."""
    return [
        _effort(found),
        _columns(found.profile),
        _traits(found.trait_association),
        _lungs(found.lung_shares),
        _blackout(found.blackout),
        _features(found.features),
        _strategies(found.clusters),
        _subgroups(found.subgroups),
        _slices(found.slices),
    ]


def _effort(found: WholeEvidence) -> EvidenceTable:
    splits = found.dataset["split"].value_counts().to_dict()
    rows: list[list[Any]] = [
        [f"marks sought, {split} images", count, splits[split], "all" if count == splits[split] else "balanced sample"]
        for split, count in found.looked_at.items()
    ]
    for kind, part in found.effects.groupby("kind", sort=True):
        tested = int(part["predicted_removed"].notna().sum())
        rows.append([f"{kind}: erased", tested, int(part["kind_available"].iloc[0]), str(part["kind_stopped"].iloc[0])])
    rows.append(["explained images", found.explained, splits.get("test", 0), "half even, half where undecided"])
    return EvidenceTable(
        "How much was looked at",
        "Marks are erased image by image until the verdict on their kind is clear; every interval below and above "
        "carries what was left out.",
        ("What", "Images", "Of", "Why no more"),
        rows,
    )


def _columns(profile: Record) -> EvidenceTable:
    rows = [
        [
            row["column"],
            _numbers(row, "cramers_v", "n"),
            row["label_entropy_share"],
            _numbers(row, "auroc", "n"),
            row["missing_share"],
            row["q_value"],
        ]
        for row in profile["associations"][:SHOWN]
    ]
    return EvidenceTable(
        "What the table tells about the label",
        "No pixel is looked at. AUROC: the column alone, cross-validated by patient. "
        + " ".join(map(str, profile["verdict"])),
        ("Column", "Cramér's V", "Share of the label's entropy", "AUROC", "Missing", "q"),
        rows,
    )


def _traits(table: pd.DataFrame) -> EvidenceTable:
    ranked = table.assign(distance=(table["auroc"] - 0.5).abs()).sort_values("distance", ascending=False).head(SHOWN)
    rows = [
        [
            row["trait"],
            row["class"],
            _numbers(row, "auroc", "n"),
            row["median_class"],
            row["median_other"],
            row["q_value"],
        ]
        for row in ranked.to_dict("records")
    ]
    return EvidenceTable(
        "Image-wide traits by class",
        "Exposure, sharpness, resolution, compression and the like, measured on training images. AUROC: the trait "
        "alone for the class against the others; 0.5 tells nothing, below 0.5 the class has lower values.",
        ("Trait", "Class", "AUROC", "Median, class", "Median, others", "q"),
        rows,
    )


def _lungs(found: Sequence[Record]) -> EvidenceTable:
    places = {"lungs": "inside the lungs", "outside": "outside", "unexplained": "outside, on no detected region"}
    rows = [
        [each["method"], each["label"], words, each[place]["share"], each[place]["area"], each[place]["enrichment"]]
        for each in found
        for place, words in places.items()
    ]
    return EvidenceTable(
        "Saliency inside and outside the lungs",
        "Lung fields by the shipped segmenter, on explained images whose lungs were found. Enrichment: share of the "
        "saliency over share of the area; 1 is what a map without preference gives.",
        ("Explainer", "Label", "Where", "Share of saliency", "Share of area", "Enrichment"),
        rows,
    )


def _blackout(found: Record) -> EvidenceTable:
    rows = [
        [each["seen"], each["r"], each["form"], each["auroc"], each["null95"], each["p"], each["train"]]
        for each in found["records"]
    ]
    return EvidenceTable(
        "Without the lungs",
        f"{found['verdict']} The retrained form is a logistic regression on the classifier's own features of the "
        "blacked-out images: a cheap stand-in for training a network on them.",
        ("Seen", "Black share of a side", "Asked", "AUROC", "Chance, 95 %", "p", "Training images"),
        rows,
        blackout_figure(found["records"]),
    )


def _features(found: Record) -> EvidenceTable:
    rows = [
        [each["attribute"], each["class"], each["value"], each["null95"], each["p"], each["meaning"]]
        for each in found["records"]
    ]
    return EvidenceTable(
        "What the classifier's features know",
        found["skipped"]
        or "Asked on images of one class at a time, so that the label cannot stand in for the answer. "
        "Well above chance: the classifier encodes the attribute, which does not yet say that it uses it.",
        ("Attribute", "Class", "AUROC", "Chance, 95 %", "p", "Meaning"),
        rows,
    )


def _strategies(found: Record) -> EvidenceTable:
    rows = [
        [
            name,
            group["number"],
            group["size"],
            group["concentration"],
            group["outside_lungs"],
            ", ".join(group["flags"]) or None,
            clustering["note"],
        ]
        for name, clustering in found["classes"].items()
        for group in clustering["clusters"]
    ]
    notes = [f"{name}: {each['note']}" for name, each in found["classes"].items() if not each["clusters"]]
    return EvidenceTable(
        "Strategies: groups of alike saliency maps",
        f"Maps of {found['method']} for the predicted class, grouped where the eigenvalues of their neighbour graph "
        f"leave a gap that chance does not explain (SpRAy). {' '.join(notes)}",
        ("Class", "Group", "Maps", "Mass in densest 5 %", "Share outside lungs", "Flags", "Note"),
        rows,
        mean_maps_figure(found["classes"]),
    )


def _subgroups(table: pd.DataFrame) -> EvidenceTable:
    known = table[table["auroc"].notna() | table["recall"].notna()]
    rows = [
        [row["attribute"], row["value"], row["n"], row["positives"]]
        + [_numbers(row, name, f"{name}_n") for name in ("precision", "recall", "auroc")]
        for row in known.to_dict("records")
    ]
    return EvidenceTable(
        "Subgroups of the test split",
        f"{len(known)} of {len(table)} groups are large enough to be measured.",
        ("Attribute", "Value", "Images", "Positives", "Precision", "Recall", "AUROC"),
        rows,
    )


def _slices(found: Sequence[Record]) -> EvidenceTable:
    rows = [
        [each["words"], each["errors"], each["error_rate"], each["rest_rate"], each["lift"], each["q"]]
        for each in found[:SHOWN]
    ]
    searched = f" {found[0]['searched']:,} were searched." if found else " None was found."
    return EvidenceTable(
        "Error slices",
        "Groups of test images, by one or two attributes, on which the classifier errs clearly more often than "
        "elsewhere, after paying for the search." + searched,
        ("Slice", "Errors", "Error rate", "Elsewhere", "Times as often", "q"),
        rows,
    )


def _numbers(row: Mapping[Any, Any], name: str, count: str) -> dict[str, Any]:
    values = {"mean": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"], "n": int(row[count])}
    return {key: None if pd.isna(value) else value for key, value in values.items()}
