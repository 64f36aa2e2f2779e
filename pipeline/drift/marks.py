"""Whether marks became more or less frequent: by kind, by text, by look-alike cluster, each within a class."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from pipeline.drift.audits import Audit, Stacked, sampled
from pipeline.drift.estimates import ENOUGH, Question, Row

EXAMPLES: Final = 8
"""Regions that are named as examples of a new cluster."""
TEXT: Final = "text"
"""Rows about printed words, which may be a person's: they stay on this machine, in drift.json and the report."""


def stacked_marks(then: Audit, now: Audit) -> Stacked:
    """The images in which marks were sought."""
    columns = ["image_id", "patient_id", "label", "weight"]
    return Stacked.of(sampled(then)[columns], sampled(now)[columns])


def marked(then: Audit, now: Audit, clusters: pd.Series[str]) -> pd.DataFrame:
    """One row a mark and what it counts as: `later`, `image_id`, `region_id`, `about` and `name`.

    Args:
        then: the earlier audit.
        now: the later one.
        clusters: look-alike cluster by region id, the same name for the same look in both audits.
    """
    parts = []
    for later, audit in ((False, then), (True, now)):
        seen = audit.images["image_id"].iloc[audit.looked_at]
        regions = audit.regions[audit.regions["image_id"].isin(seen)]
        table = regions[["image_id", "region_id"]].astype(str).assign(later=later)
        text = regions["kind"].astype(str) + " “" + regions["text"].astype(object) + "”"
        parts += [
            table.assign(about="marks", name=regions["kind"].astype(str)),
            table.assign(about=TEXT, name=text),
            table.assign(about="look-alikes", name=table["region_id"].map(clusters)),
        ]
    return pd.concat(parts, ignore_index=True).dropna(subset=["name"])


def mark_questions(stacked: Stacked, marks: pd.DataFrame) -> list[Question]:
    """The share of images of each class that bear each mark which `ENOUGH` images of either audit bear."""
    labels = stacked.images["label"].astype(str).to_numpy()
    place = pd.Series(np.arange(len(labels)), index=_keys(stacked.images["image_id"], stacked.later))
    bearing = marks.drop_duplicates(["about", "name", "image_id", "later"])
    members = {name: np.flatnonzero(labels == name) for name in sorted(set(labels))}
    questions = []
    for (about, name), part in bearing.groupby(["about", "name"], sort=True):
        if part["later"].value_counts().max() < ENOUGH:
            continue
        has = np.zeros(len(labels))
        has[place[_keys(part["image_id"], part["later"].to_numpy(dtype=bool))].to_numpy()] = 1
        questions += [
            Question({"about": str(about), "name": str(name), "class": label}, rows, has[rows])
            for label, rows in members.items()
        ]
    return questions


def new_clusters(marks: pd.DataFrame) -> tuple[list[Row], list[Row]]:
    """Look-alike clusters of the later audit that the earlier one knows nothing like, and the other way round.

    Each with its images, `n`, and `examples`, ids of regions. Of clusters with fewer than `ENOUGH` images nothing is
    told: any two odd marks that look alike make one.
    """
    found: tuple[list[Row], list[Row]] = ([], [])
    for name, part in marks[marks["about"] == "look-alikes"].groupby("name", sort=True):
        images = part["image_id"].nunique()
        if len(set(part["later"])) == 1 and images >= ENOUGH:
            examples = sorted(part["region_id"])[:EXAMPLES]
            row = {"about": "look-alikes", "name": str(name), "n": int(images), "examples": examples}
            found[0 if part["later"].iloc[0] else 1].append(row)
    return found


def _keys(image_ids: pd.Series[str], later: np.ndarray) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([image_ids.astype(str).to_numpy(), later])
