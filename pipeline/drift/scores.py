"""Whether the classifier's scores, or traits of the whole image, lie elsewhere, class by class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.drift.audits import Audit, Stacked, sampled
from pipeline.drift.estimates import Question, ranks


def stacked_scores(then: Audit, now: Audit) -> Stacked:
    """Test images of both audits with their `score`, the probability of the positive class.

    Only these: a classifier is surer of what it was trained on, so that images which join the training split would
    look like drift.
    """
    return Stacked.of(_scored(then), _scored(now))


def stacked_traits(then: Audit, now: Audit) -> tuple[Stacked, list[str]]:
    """Images whose traits were measured in both audits' samples, and the traits that both know."""
    traits = [name for name in now.traits.columns if name != "image_id" and name in then.traits]
    parts = []
    for audit in (then, now):
        table = sampled(audit)[["image_id", "patient_id", "label", "weight"]]
        parts.append(table.merge(audit.traits[["image_id", *traits]], on="image_id", how="inner"))
    return Stacked.of(*parts), traits


def rank_questions(stacked: Stacked, columns: Sequence[str], about: str) -> list[Question]:
    """Where values of `columns` rank among those of both audits, for each class; unknown values are left out."""
    labels = stacked.images["label"].astype(str).to_numpy()
    questions = []
    for column in columns:
        values = stacked.images[column].to_numpy(dtype=np.float64)
        for label in sorted(set(labels)):
            rows = np.flatnonzero((labels == label) & ~np.isnan(values))
            if len(rows):
                questions.append(Question({"about": about, "name": column, "class": label}, rows, ranks(values[rows])))
    return questions


def _scored(audit: Audit) -> pd.DataFrame:
    test = audit.images[audit.images["split"] == "test"][["image_id", "patient_id", "label"]]
    scores = audit.predictions[["image_id", f"p_{audit.positive}"]].set_axis(["image_id", "score"], axis=1)
    return test.merge(scores, on="image_id", how="inner")
