"""How well the classifier does on each kind of patient, picture and mark."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.dataset import DatasetVersion
from pipeline.flag.behaviour.estimates import BLOCK, CONFIDENCE, RESAMPLES, proportion
from pipeline.randomness import numpy_generator
from pipeline.statistics import Floats, clusters, divide, percentile_interval, resample_weights, weighted_auroc

MIN_SUPPORT = 10
"""Smaller groups are counted, but not judged."""
UNKNOWN = "unknown"
COLUMNS = ("source", "view", "sex", "manufacturer")
"""Attributes taken from the images table as they are."""
AGES = (0, 20, 40, 60, 80)
"""Where the age bands begin, years."""


def attributes(dataset: DatasetVersion, rows: NDArray[np.int64], regions: pd.DataFrame) -> pd.DataFrame:
    """What is known of the images of `rows`, in their order, as text; ``unknown`` where it is not.

    Columns: those of `COLUMNS`, `age` (bands), and ``<kind> on image`` (yes, no) for every kind in `regions`.
    """
    images = dataset.images.iloc[rows].reset_index(drop=True)
    table = images[list(COLUMNS)].astype("object")
    bands = [*(f"{low} to {high - 1}" for low, high in pairwise(AGES)), f"{AGES[-1]} or more"]
    table["age"] = pd.cut(images["age"].astype(float), [*AGES, np.inf], right=False, labels=bands).astype("object")
    table = table.where(table.notna(), UNKNOWN).astype(str)
    for kind, part in regions.groupby("kind", sort=True):
        table[f"{kind} on image"] = np.where(images["image_id"].isin(part["image_id"]), "yes", "no")
    return table


def predicted(
    dataset: DatasetVersion, rows: NDArray[np.int64], predictions: pd.DataFrame
) -> tuple[NDArray[np.str_], Floats]:
    """Predicted class of `rows`, and the probability of `meta.positive`.

    Args:
        dataset: its classes.
        rows: row numbers of `dataset`.
        predictions: `image_id` and `p_<class>` for every class; all of `rows` must be there.
    """
    names = [f"p_{name}" for name in dataset.meta.classes]
    table = predictions.set_index("image_id")[names].loc[dataset.images["image_id"].iloc[rows]]
    winners = np.array(dataset.meta.classes)[table.to_numpy(dtype=float).argmax(axis=1)]
    return winners, table[f"p_{dataset.meta.positive}"].to_numpy(dtype=np.float64)


def subgroup_table(
    dataset: DatasetVersion, predictions: pd.DataFrame, regions: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """Precision, recall and AUROC for `meta.positive` on the test split, whole and by every attribute.

    Columns: `attribute`, `value` (of `attributes`; first row: ``all``, ``all``), `n` images, `patients`, `positives`,
    and for each metric m of precision, recall, auroc: `m`, `m_low`, `m_high` (bootstrap over patients; precision or
    recall of 0 or 1, which resampling cannot move: Wilson over patients) and `m_n`, what it rests on (predicted
    positives, positives, images). Null where undefined or n < `MIN_SUPPORT`.

    Args:
        dataset: labels, patients, attributes.
        predictions: `image_id` and `p_<class>`.
        regions: the regions table: which kinds of mark stand on which image.
        seed: of the run.
    """
    rows = dataset.rows("test")
    winners, scores = predicted(dataset, rows, predictions)
    images = dataset.images.iloc[rows]
    positive = (images["label"] == dataset.meta.positive).to_numpy(dtype=bool)
    cluster = clusters(images["patient_id"], images["image_id"])
    measured = pd.DataFrame(
        {"positive": positive, "called": winners == dataset.meta.positive, "score": scores, "cluster": cluster}
    )
    records = [
        {"attribute": name, "value": value, **_metrics(measured[mask], seed, f"{name} {value}")}
        for name, value, mask in _groups(attributes(dataset, rows, regions))
    ]
    return pd.DataFrame(records, columns=list(_TYPES)).astype(_TYPES)


def _groups(table: pd.DataFrame) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    yield "all", "all", np.ones(len(table), dtype=np.bool_)
    for name in table:
        for value in sorted(table[name].unique()):
            yield str(name), value, (table[name] == value).to_numpy(dtype=bool)


def _metrics(part: pd.DataFrame, seed: int, purpose: str) -> dict[str, Any]:
    positive, called = part["positive"].to_numpy(dtype=bool), part["called"].to_numpy(dtype=bool)
    found: dict[str, Any] = {
        "n": len(part),
        "patients": part["cluster"].nunique(),
        "positives": int(positive.sum()),
        "precision_n": int(called.sum()),
        "recall_n": int(positive.sum()),
        "auroc_n": len(part),
    }
    if len(part) < MIN_SUPPORT:
        return found
    cluster = np.unique(part["cluster"], return_inverse=True)[1].astype(np.int64)
    score = part["score"].to_numpy(dtype=float)
    generator = numpy_generator(seed, "subgroups", purpose)
    drawn = [_measure(positive, called, score, resample_weights(cluster, BLOCK, generator)) for _ in range(_BLOCKS)]
    resampled = np.concatenate(drawn, axis=1)
    whole = _measure(positive, called, score, np.ones((1, len(part))))[:, 0]
    for name, value, values in zip(_METRICS, whole, resampled, strict=True):
        low, high = percentile_interval(values, CONFIDENCE) if np.isfinite(value) else (None, None)
        if name != "auroc" and value in (0, 1):
            people = len(np.unique(cluster[called if name == "precision" else positive]))
            wilson = proportion(round(value) * people, people)
            low, high = wilson["low"], wilson["high"]
        found |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return found


def _measure(positive: NDArray[np.bool_], called: NDArray[np.bool_], score: Floats, weights: Floats) -> Floats:
    """Precision, recall and AUROC for every row of weights, (3, resamples)."""
    hits = weights @ (positive & called)
    precision, recall = divide(hits, weights @ called), divide(hits, weights @ positive)
    return np.stack([precision, recall, weighted_auroc(score, positive, weights)])


_BLOCKS = RESAMPLES // BLOCK
_METRICS = ("precision", "recall", "auroc")
_TYPES = {
    **dict.fromkeys(("attribute", "value"), "string"),
    **dict.fromkeys(("n", "patients", "positives"), "int64"),
    **{
        f"{name}{suffix}": "int64" if suffix == "_n" else "Float64"
        for name in _METRICS
        for suffix in ("", "_low", "_high", "_n")
    },
}
