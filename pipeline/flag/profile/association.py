"""What the table alone says: which marks and which metadata go with a class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedGroupKFold

from pipeline.dataset import DatasetVersion
from pipeline.randomness import derive_seed, numpy_generator
from pipeline.statistics import Floats, clusters, percentile_interval, resample_weights, weighted_auroc
from pipeline.types import PRINTED_KINDS

CONFIDENCE = 0.95
MIN_TEXT_IMAGES = 5
"""A text is looked at on its own when it stands on at least this many images."""
POOLED = "mark"
FOLDS = 5
RESAMPLES = 1000
MAX_CATEGORIES = 200
"""More values than this (of one column) are pooled, rarest first: the booster takes 255."""

CHECKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "label from source": ("the data source alone", ("source",)),
    "label from container": (
        "image size, file format, bit depth and photometric interpretation alone",
        ("width", "height", "file_format", "bits", "photometric"),
    ),
    "label from view, sex and age": ("view, sex and age alone, missing values included", ("view", "sex", "age")),
}
"""Check -> (what it sees, columns of the images table)."""
_NUMERIC = frozenset({"width", "height", "bits", "age"})


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
        value = cramers_v(_crosstab(marked, labels))
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


def cramers_v(table: Floats) -> float | None:
    """Cramér's V of a contingency table (r, c), in [0, 1]; None when fewer than two rows or columns are in use.

    V = sqrt(chi² / (n·(min(r, c) − 1))), without bias correction (H. Cramér, Mathematical Methods of Statistics, 1946).
    """
    used = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    smaller = min(used.shape) - 1
    if smaller < 1:
        return None
    n = used.sum()
    expected = np.outer(used.sum(axis=1), used.sum(axis=0)) / n
    return float(np.sqrt(min(((used - expected) ** 2 / expected).sum() / (n * smaller), 1.0)))


def label_leakage(dataset: DatasetVersion, seed: int) -> list[dict[str, Any]]:
    """What can be said about the label without looking at the picture.

    Cramér's V of label and source, then the cross-validated AUROC (folds by patient) with which a gradient-boosted
    tree tells `meta.positive` from the rest by each set of columns of `CHECKS`. Intervals: bootstrap over patients.

    Returns:
        Dicts {check, value, meaning}: `value` is {mean, low, high, n}, or None where `meaning` says why it was
        skipped.
    """
    cluster = clusters(dataset.images["patient_id"], dataset.images["image_id"])
    return [_source_association(dataset, cluster, seed)] + [
        _leakage(dataset, cluster, seed, check, seen, columns) for check, (seen, columns) in CHECKS.items()
    ]


def _source_association(dataset: DatasetVersion, cluster: NDArray[np.int64], seed: int) -> dict[str, Any]:
    check = "label and source: Cramér's V"
    labels, sources = (_codes(dataset.images[name]) for name in ("label", "source"))
    if len(np.unique(labels)) < 2 or len(np.unique(sources)) < 2:
        return _skipped(check, "there is only one source or one class")
    cells = np.eye(sources.max() + 1)[sources][:, None] * np.eye(labels.max() + 1)[labels][:, :, None]
    flat = cells.reshape(len(labels), -1)
    generator = numpy_generator(seed, "leakage-bootstrap", check)
    resampled = np.concatenate([weights @ flat for weights in _weight_blocks(cluster, generator)])
    values = np.array([_or_nan(cramers_v(row.reshape(cells.shape[1:]))) for row in resampled])
    low, high = percentile_interval(values, CONFIDENCE)
    mean = cramers_v(flat.sum(axis=0).reshape(cells.shape[1:]))
    return {
        "check": check,
        "value": {"mean": mean, "low": low, "high": high, "n": len(labels)},
        "meaning": "0: every source holds the same mix of classes; 1: the source decides the label, so a classifier "
        "that recognises the source looks accurate.",
    }


def _leakage(
    dataset: DatasetVersion, cluster: NDArray[np.int64], seed: int, check: str, seen: str, columns: tuple[str, ...]
) -> dict[str, Any]:
    positive = (dataset.images["label"] == dataset.meta.positive).to_numpy(dtype=bool)
    varying = [name for name in columns if len(dataset.images[name].unique()) > 1]
    folds = min(FOLDS, *(len(np.unique(cluster[part])) for part in (positive, ~positive)))
    if not varying:
        return _skipped(check, f"{', '.join(columns)} {'is' if len(columns) == 1 else 'are'} constant")
    if folds < 2:
        return _skipped(check, f"fewer than two patients are {dataset.meta.positive}, or fewer than two are not")
    scores = _out_of_fold(dataset.images[varying], positive, cluster, folds, derive_seed(seed, "leakage", check))
    generator = numpy_generator(seed, "leakage-bootstrap", check)
    resampled = [weighted_auroc(scores, positive, weights) for weights in _weight_blocks(cluster, generator)]
    low, high = percentile_interval(np.concatenate(resampled), CONFIDENCE)
    mean = float(weighted_auroc(scores, positive, np.ones((1, len(scores))))[0])
    constant = [name for name in columns if name not in varying]
    left_out = f" Constant, so left out: {', '.join(constant)}." if constant else ""
    return {
        "check": check,
        "value": {"mean": mean, "low": low, "high": high, "n": len(scores)},
        "meaning": f"Cross-validated AUROC of telling {dataset.meta.positive} from the rest by {seen}; "
        f"0.5 is chance.{left_out}",
    }


def _out_of_fold(
    table: pd.DataFrame, positive: NDArray[np.bool_], cluster: NDArray[np.int64], folds: int, seed: int
) -> Floats:
    features = np.stack([_column(table[name]) for name in table], axis=1)
    categorical = [name not in _NUMERIC for name in table]
    scores = np.empty(len(table))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed % 2**32)
    for train, test in splitter.split(features, positive, cluster):
        model = HistGradientBoostingClassifier(
            max_iter=50,
            min_samples_leaf=5,
            early_stopping=False,
            categorical_features=categorical,
            random_state=seed % 2**32,
        )
        if len(np.unique(positive[train])) < 2:
            scores[test] = positive[train].mean()
        else:
            scores[test] = model.fit(features[train], positive[train]).predict_proba(features[test])[:, 1]
    return scores


def _column(values: pd.Series[Any]) -> Floats:
    """A number stays one (missing: NaN); anything else becomes the rank of its value by frequency, missing included."""
    if values.name in _NUMERIC:
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.minimum(_codes(values), MAX_CATEGORIES).astype(np.float64)


def _codes(values: pd.Series[Any]) -> NDArray[np.int64]:
    """0 for the most frequent value and so on; missing is a value. Ties follow the alphabet."""
    text = values.astype("object").where(values.notna(), "").astype(str)
    names, inverse, counts = np.unique(text.to_numpy(dtype=str), return_inverse=True, return_counts=True)
    rank = np.empty(len(names), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(names))
    return rank[inverse]


def _weight_blocks(cluster: NDArray[np.int64], generator: np.random.Generator, block: int = 100) -> Iterator[Floats]:
    """Bootstrap weights, a bounded block of resamples at a time."""
    for _ in range(RESAMPLES // block):
        yield resample_weights(cluster, block, generator)


def _crosstab(marked: NDArray[np.bool_], labels: NDArray[Any]) -> Floats:
    names = np.unique(labels)
    return np.array([[(rows & (labels == name)).sum() for name in names] for rows in (marked, ~marked)], dtype=float)


def _skipped(check: str, why: str) -> dict[str, Any]:
    return {"check": check, "value": None, "meaning": f"Not computed: {why}."}


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value
