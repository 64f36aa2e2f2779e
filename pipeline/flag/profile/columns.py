"""How strongly each column of a table goes with the label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline.flag.profile.association import odds_ratio
from pipeline.flag.profile.contingency import corrected_v, cramers_v, mutual_information
from pipeline.flag.profile.features import Feature
from pipeline.flag.profile.leakage import counted_auroc, score_by_column
from pipeline.flag.profile.resampling import Counted, Ints
from pipeline.statistics import Floats

BINS: Final = 10
"""Bins that a number is counted in."""

INTERVALS: Final = ("cramers_v", "mutual_information", "auroc", "raw_auroc", "missing_auroc")
ASSOCIATION_COLUMNS: Final = (
    *("column", "family", "numeric", "levels", "n", "unread", "missing_share"),
    *(f"{name}{end}" for name in INTERVALS for end in ("", "_low", "_high")),
    *("cramers_v_corrected", "cramers_v_chance", "label_entropy_share", "p_value", "q_value"),
)
"""Columns of associations.parquet, one row a column of the table.

`unread`: cells of a column of numbers that are none and count as missing; `cramers_v`: uncorrected, `_corrected`:
Bergsma's, `_chance`: mean when labels are exchanged between patients; `mutual_information`: bits; `auroc`:
cross-validated; `raw_auroc`: of the number itself, below 0.5 where the positive class has smaller ones;
`missing_auroc`: of whether the cell is empty, or filled, whichever speaks for the positive class; `p_value`:
permutation over patients; `q_value`: Benjamini-Hochberg over the columns.
"""

LEVEL_COLUMNS: Final = (
    *("column", "value", "marked", "total", "marked_other", "total_other", "odds_ratio", "odds_low", "odds_high"),
)
"""Columns of levels.parquet: `marked` of `total` images of the positive class have the value, `marked_other` of
`total_other` of the rest. Values of columns that nobody knows are not kept: they may be names."""


def column_jobs(feature: Feature, labels: Ints, classes: int, positive: NDArray[np.bool_], fold: Ints | None) -> Jobs:
    """What is to be counted for one column, by name; see `ASSOCIATION_COLUMNS`.

    Args:
        feature: the column.
        labels: number of the class of each image, (n,), below `classes`.
        classes: how many there are.
        positive: whether it is of the positive class, (n,).
        fold: from `patient_folds`; None: too few patients for it.
    """
    levels = feature.levels(BINS)
    shape = (len(levels.names), classes)
    jobs = {
        "cramers_v": Counted(levels.codes, labels, shape, cramers_v),
        "mutual_information": Counted(levels.codes, labels, shape, mutual_information),
    }
    if fold is not None:
        jobs["auroc"] = counted_auroc(score_by_column(feature, positive, fold), positive, fold)
    if feature.numeric:
        jobs["raw_auroc"] = counted_auroc(feature.values, positive)
    if feature.missing.any() and not feature.missing.all():
        more = feature.missing[positive].mean() >= feature.missing[~positive].mean()
        jobs["missing_auroc"] = counted_auroc((feature.missing == more).astype(np.float64), positive)
    return jobs


Jobs = dict[str, Counted]


def association_row(
    feature: Feature, jobs: Jobs, intervals: Mapping[str, tuple[float | None, float | None]], entropy: float
) -> dict[str, Any]:
    """A row of the table without p and q.

    Args:
        feature: the column.
        jobs: from `column_jobs`.
        intervals: by the name of a job.
        entropy: of the label, bits.
    """
    row: dict[str, Any] = {
        "column": feature.name,
        "family": feature.family,
        "numeric": feature.numeric,
        "levels": jobs["cramers_v"].shape[0],
        "n": len(feature.values),
        "unread": feature.unread,
        "missing_share": float(feature.missing.mean()),
    }
    for name, job in jobs.items():
        low, high = intervals[name]
        row |= {name: job.value(), f"{name}_low": low, f"{name}_high": high}
    return row | {
        "cramers_v_corrected": float(corrected_v(jobs["cramers_v"].table())),
        "label_entropy_share": row["mutual_information"] / entropy,
    }


def association_table(rows: Sequence[Mapping[str, Any]], p: Floats, chance: Floats) -> pd.DataFrame:
    """The rows with p-values, in the order given; columns of `ASSOCIATION_COLUMNS`."""
    table = pd.DataFrame(list(rows), columns=list(ASSOCIATION_COLUMNS))
    table["p_value"], table["cramers_v_chance"] = p, chance
    table["q_value"] = stats.false_discovery_control(p) if len(p) else p
    texts = {"column": "string", "family": "string"}
    numbers = {name: "Float64" for name in ASSOCIATION_COLUMNS[6:]}
    return table.astype({**texts, "numeric": "bool", "levels": "int64", "n": "int64", "unread": "int64", **numbers})


def level_table(features: Sequence[Feature], positive: NDArray[np.bool_]) -> pd.DataFrame:
    """Odds ratio of every value of every known column for the positive class; columns of `LEVEL_COLUMNS`."""
    rows = [row for feature in features if feature.family != "other" for row in _levels(feature, positive)]
    return pd.DataFrame(rows, columns=list(LEVEL_COLUMNS)).astype({"column": "string", "value": "string"})


def _levels(feature: Feature, positive: NDArray[np.bool_]) -> list[dict[str, Any]]:
    levels = feature.levels(BINS)
    marked = np.bincount(levels.codes[positive], minlength=len(levels.names))
    other = np.bincount(levels.codes[~positive], minlength=len(levels.names))
    total, total_other = int(positive.sum()), int((~positive).sum())
    rows = []
    for value, a, c in zip(levels.names, marked.tolist(), other.tolist(), strict=True):
        ratio, low, high = odds_ratio(a, total - a, c, total_other - c)
        rows.append(
            {
                "column": feature.name,
                "value": value,
                "marked": a,
                "total": total,
                "marked_other": c,
                "total_other": total_other,
                "odds_ratio": ratio,
                "odds_low": low,
                "odds_high": high,
            }
        )
    return rows
