"""Whether the classifier does better or worse on its test images."""

from __future__ import annotations

import numpy as np
from scipy import stats

from pipeline.config import CompareConfig
from pipeline.drift.audits import Audit
from pipeline.drift.estimates import ENOUGH, Row
from pipeline.report.metrics import METRICS, bootstrap, measure, or_none, summary
from pipeline.report.predictions import Tested, align
from pipeline.statistics import Floats, clusters

ABOUT = "metric"


def metric_rows(then: Audit, now: Audit, config: CompareConfig, generator: np.random.Generator) -> list[Row]:
    """One row a metric of the test images; rows as `compare_means` gives them, and `shared`: images tested in both.

    Patients are drawn for both audits at once, so test images that both have are paired. Of two classes the positive
    one is called from a probability of 0.5, of more the likeliest. `p` is that of the difference by its bootstrap
    standard error, against Student's t: with as many degrees of freedom as the smaller class has patients, less one.
    """
    sides = [_tested(audit) for audit in (then, now)]
    first, second = sides
    if min(len(first.images), len(second.images)) == 0:
        return []
    patients = [side.images["patient_id"].tolist() for side in sides]
    names = [side.images["image_id"].tolist() for side in sides]
    cluster = clusters([*patients[0], *patients[1]], [*names[0], *names[1]])

    def both(weights: Floats) -> Floats:
        cut = len(first.images)
        parts = (weights[:, :cut], weights[:, cut:])
        return np.stack([measure(side, part)[0, : len(METRICS), 0] for side, part in zip(sides, parts, strict=True)])

    observed, drawn = both(np.ones((1, len(cluster))))[..., 0], bootstrap(both, cluster, config, generator)
    counts = [_counts(side) for side in sides]
    people = min(min(each["positive patients"], each["negative patients"]) for each in counts)
    rows = []
    for number, metric in enumerate(METRICS):
        values = [
            {**_brief(float(observed[side, number]), drawn[side, number], config.confidence), **_size(counts[side])}
            for side in (0, 1)
        ]
        change = float(observed[1, number] - observed[0, number])
        moved = drawn[1, number] - drawn[0, number]
        rows.append(
            {
                **{"about": ABOUT, "name": metric, "class": now.positive, "then": values[0], "now": values[1]},
                "shared": len(set(names[0]) & set(names[1])),
                "difference": _brief(change, moved, config.confidence),
                "p": _p(change, moved, people - 1),
                "enough": people >= ENOUGH and not np.isnan(change),
            }
        )
    return rows


def _tested(audit: Audit) -> Tested:
    test = audit.images[audit.images["split"] == "test"][["image_id", "patient_id", "label"]]
    scores = [f"p_{name}" for name in audit.classes]
    table = test.merge(audit.predictions[["image_id", *scores]], on="image_id", how="inner")
    return align(table.assign(arm="audit", seed=0), "test", audit.positive, audit.classes, ("audit",), {})


def _counts(side: Tested) -> dict[str, int]:
    by_class = {
        name: len(np.unique(side.cluster[mask]))
        for name, mask in (("positive patients", side.positive), ("negative patients", ~side.positive))
    }
    return {**side.counts, **by_class}


def _size(counts: dict[str, int]) -> Row:
    return {"n": counts["n"], "patients": counts["patients"]}


def _brief(value: float, drawn: Floats, confidence: float) -> Row:
    said = summary(value, drawn, confidence)
    return {key: said[key] for key in ("mean", "low", "high")}


def _p(change: float, drawn: Floats, freedom: int) -> float | None:
    error = float(np.nanstd(drawn)) if not np.isnan(drawn).all() else 0.0
    return or_none(float(2 * stats.t.sf(abs(change) / error, max(freedom, 1)))) if error > 0 else None
