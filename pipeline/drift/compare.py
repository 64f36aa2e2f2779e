"""Everything that two audits of a data set can be compared by, tested as one family."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipeline.config import CompareConfig
from pipeline.drift.audits import Audit
from pipeline.drift.estimates import FDR, Question, Row, compare_means, judge
from pipeline.drift.findings import finding_changes
from pipeline.drift.makeup import makeup_questions, new_values, stacked_makeup
from pipeline.drift.marks import mark_questions, marked, new_clusters, stacked_marks
from pipeline.drift.metrics import metric_rows
from pipeline.drift.scores import rank_questions, stacked_scores, stacked_traits
from pipeline.errors import InputError
from pipeline.randomness import numpy_generator


def compare_audits(
    then: Audit, now: Audit, clusters: pd.Series[str], config: CompareConfig, seed: int = 0
) -> dict[str, Any]:
    """What differs between an earlier audit and a later one of the same data set.

    Args:
        then: the earlier audit.
        now: the later one.
        clusters: look-alike cluster by region id, over the regions of both.
        config: number of resamples and confidence.
        seed: of the bootstrap.

    Returns:
        `images` (counts), `same_classifier`, `rows` (see `judge`; the most certain first), `new` and `gone` (values and
        look-alike clusters that only one audit knows), `findings` (see `finding_changes`), `interval` and `fdr`.

    Raises:
        InputError: the audits are about other classes.
    """
    if (then.classes, then.positive) != (now.classes, now.positive):
        raise InputError(
            f"Audit {then.run} is about {', '.join(then.classes)} (positive: {then.positive}), audit {now.run} about "
            f"{', '.join(now.classes)} (positive: {now.positive}). Accept an audit of the same classes to compare with."
        )
    made, sought, marks = stacked_makeup(then, now), stacked_marks(then, now), marked(then, now, clusters)
    scores, (traits, names) = stacked_scores(then, now), stacked_traits(then, now)
    jobs: dict[str, tuple[Any, list[Question]]] = {
        "makeup": (made, makeup_questions(made)),
        "marks": (sought, mark_questions(sought, marks)),
        "scores": (scores, rank_questions(scores, ["score"], "score")),
        "traits": (traits, rank_questions(traits, names, "trait")),
    }
    rows = metric_rows(then, now, config, numpy_generator(seed, "drift", "metrics"))
    for purpose, (stacked, questions) in jobs.items():
        rows += compare_means(stacked, questions, config, numpy_generator(seed, "drift", purpose))
    found, lost = zip(new_values(made), new_clusters(marks), strict=True)
    return {
        "images": _counts(then, now),
        "same_classifier": then.classifier == now.classifier,
        "rows": sorted(judge(rows), key=_certainty),
        "new": [each for part in found for each in part],
        "gone": [each for part in lost for each in part],
        "findings": finding_changes(then.findings, now.findings),
        "interval": {
            "method": "percentile bootstrap over patients, drawn for both audits at once",
            "confidence": config.confidence,
            "resamples": config.bootstrap,
        },
        "fdr": FDR,
    }


def _counts(then: Audit, now: Audit) -> dict[str, int]:
    before, after = then.image_ids, now.image_ids
    return {"then": len(before), "now": len(after), "new": len(after - before), "gone": len(before - after)}


def _certainty(row: Row) -> tuple[float, str, str, str]:
    return (2.0 if row["q"] is None else row["q"], row["about"], row["name"], str(row["class"]))
