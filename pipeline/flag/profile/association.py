"""Which marks go with a class: presence of each kind, and of each word, against the label."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline.dataset import DatasetVersion
from pipeline.flag.profile.contingency import cramers_v
from pipeline.statistics import Floats
from pipeline.types import PRINTED_KINDS

CONFIDENCE = 0.95
MIN_TEXT_IMAGES = 5
"""A text is looked at on its own when it stands on at least this many images."""
POOLED = "mark"


def mark_association(
    dataset: DatasetVersion, regions: pd.DataFrame, rows: NDArray[np.int64] | None = None
) -> pd.DataFrame:
    """How much more often a mark stands on images of one class than on the others.

    Args:
        dataset: labels.
        regions: the regions table.
        rows: rows to count over; the training rows when None, because that is what a classifier learns from.

    Returns:
        One row per mark (each kind with null text, each (kind, text) on at least `MIN_TEXT_IMAGES` images, and any
        mark as kind ``mark``) and class: `kind`, `text`, `class`, `marked` of `total` images of the class,
        `prevalence` with Wilson interval, `marked_other` of `total_other`, `odds_ratio` with 95 % interval, two-sided
        Fisher `p_value`, `q_value` (Benjamini-Hochberg over all rows), `cramers_v` (mark x all classes).
    """
    chosen = dataset.rows("train") if rows is None else rows
    images = dataset.images.iloc[chosen]
    ids, labels = images["image_id"].to_numpy(dtype=object), images["label"].to_numpy(dtype=object)
    records = []
    for kind, text, marked_ids in _marks(regions[regions["image_id"].isin(ids)]):
        marked = np.isin(ids, marked_ids)
        value = float(cramers_v(_crosstab(marked, labels)))
        for name in dataset.meta.classes:
            counts = _class_association(marked, labels == name)
            records.append({"kind": kind, "text": text, "class": name, **counts, "cramers_v": value})
    table = pd.DataFrame(records, columns=_COLUMNS).astype({"text": "string", "cramers_v": "Float64"})
    if len(table):
        table["q_value"] = stats.false_discovery_control(table["p_value"].to_numpy(dtype=float))
    return table


_COLUMNS = [
    *("kind", "text", "class", "marked", "total", "prevalence", "prevalence_low", "prevalence_high"),
    *("marked_other", "total_other", "odds_ratio", "odds_low", "odds_high", "p_value", "q_value", "cramers_v"),
]


def _marks(regions: pd.DataFrame) -> Iterator[tuple[str, str | None, NDArray[Any]]]:
    """(kind, text, image ids) of everything to be looked at."""
    for kind, part in regions[regions["kind"] != POOLED].groupby("kind", sort=True):
        yield str(kind), None, part["image_id"].unique()
        for text, same in part.dropna(subset=["text"]).groupby("text", sort=True):
            if same["image_id"].nunique() >= MIN_TEXT_IMAGES:
                yield str(kind), str(text), same["image_id"].unique()
    printed = regions[regions["kind"].isin(PRINTED_KINDS)]
    if len(printed):
        yield POOLED, None, printed["image_id"].unique()


def _class_association(marked: NDArray[np.bool_], inside: NDArray[np.bool_]) -> dict[str, Any]:
    a, b = int((marked & inside).sum()), int((~marked & inside).sum())
    c, d = int((marked & ~inside).sum()), int((~marked & ~inside).sum())
    low, high = wilson(a, a + b)
    ratio, ratio_low, ratio_high = odds_ratio(a, b, c, d)
    return {
        "marked": a,
        "total": a + b,
        "prevalence": a / (a + b) if a + b else np.nan,
        "prevalence_low": low,
        "prevalence_high": high,
        "marked_other": c,
        "total_other": c + d,
        "odds_ratio": ratio,
        "odds_low": ratio_low,
        "odds_high": ratio_high,
        "p_value": float(stats.fisher_exact([[a, b], [c, d]])[1]),
    }


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson score interval of a proportion, 95 %; (0, 1) when n is 0 (E. B. Wilson, JASA 22, 1927)."""
    if n == 0:
        return 0.0, 1.0
    found = stats.binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def odds_ratio(a: int, b: int, c: int, d: int) -> tuple[float, float, float]:
    """Odds ratio (a/b)/(c/d) with 95 % interval; 1/2 is added to every cell.

    Haldane-Anscombe correction; interval by Woolf, exp(log OR ± z·sqrt(1/a + 1/b + 1/c + 1/d)), Ann. Hum. Genet. 19,
    1955.
    """
    cells = np.array([a, b, c, d]) + 0.5
    log_ratio = np.log(cells[0] * cells[3] / (cells[1] * cells[2]))
    reach = stats.norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt((1 / cells).sum())
    return float(np.exp(log_ratio)), float(np.exp(log_ratio - reach)), float(np.exp(log_ratio + reach))


def _crosstab(marked: NDArray[np.bool_], labels: NDArray[Any]) -> Floats:
    names = np.unique(labels)
    return np.array([[(rows & (labels == name)).sum() for name in names] for rows in (marked, ~marked)], dtype=float)
