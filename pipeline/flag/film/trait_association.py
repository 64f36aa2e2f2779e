"""Which image-wide traits go with a class, and how well all of them together give the class away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline.dataset import DatasetVersion
from pipeline.flag.behaviour.estimates import auroc_estimate
from pipeline.flag.film.shift import MOVABLE
from pipeline.flag.film.traits import TRAITS
from pipeline.flag.profile.features import feature
from pipeline.flag.profile.leakage import patient_folds, score_by_columns
from pipeline.randomness import derive_seed, numpy_generator
from pipeline.statistics import Floats, clusters

COLUMNS: dict[str, str] = {
    "trait": "string",
    "class": "string",
    "n": "int64",
    "n_class": "int64",
    "auroc": "float64",
    "auroc_low": "float64",
    "auroc_high": "float64",
    "median_class": "float64",
    "median_other": "float64",
    "p_value": "float64",
    "q_value": "float64",
}
CHECK = "label from image-wide traits"

MARGIN = 0.1
"""How far the interval of a trait's AUROC must keep from 0.5 for the trait to be worth a test.

Disease itself changes exposure and contrast a little; a shortcut worth learning tells the classes better than that."""


@dataclass(frozen=True)
class Tie:
    """A trait that goes with a class: `typical` there and `elsewhere`, medians over the training images."""

    trait: str
    target: str
    typical: float
    elsewhere: float


def tied_traits(association: pd.DataFrame, fdr: float, positive: str) -> list[Tie]:
    """Movable traits whose association is worth a causal test, each with the class that it tells best, by trait.

    q <= `fdr`, and the interval of AUROC keeps `MARGIN` from 0.5.

    Args:
        association: from `trait_association`, over the training rows.
        fdr: false discovery rate of the associations.
        positive: class to name where another one is told as well, as of two classes always.
    """
    apart = np.maximum(association["auroc_low"] - 0.5, 0.5 - association["auroc_high"])
    worth = association[association["trait"].isin(MOVABLE) & (association["q_value"] <= fdr) & (apart >= MARGIN)]
    ranked = worth.assign(strength=(worth["auroc"] - 0.5).abs().round(9), positive=worth["class"] == positive)
    ranked = ranked.sort_values(["trait", "strength", "positive"], ascending=[True, False, False], kind="stable")
    best = ranked.groupby("trait", sort=True).first().reset_index()
    return [
        Tie(str(row["trait"]), str(row["class"]), float(row["median_class"]), float(row["median_other"]))
        for row in best.to_dict("records")
    ]


def trait_association(
    dataset: DatasetVersion, traits: pd.DataFrame, rows: NDArray[np.int64] | None = None, *, seed: int
) -> pd.DataFrame:
    """How well each trait alone tells images of one class from the others.

    Args:
        dataset: labels and patients.
        traits: from `traits_dataset`.
        rows: rows to look at; the training rows when None, because that is what a classifier learns from.
        seed: of the run.

    Returns:
        One row per trait and class with both sides present, columns of `COLUMNS`: `auroc` = P(trait of the class >
        trait of another one), ties half, with its 95 % bootstrap interval over patients (below 0.5: the class has low
        values); medians of the class and of the others; two-sided rank-sum `p_value` in which every patient counts
        once on each side, with the mean of the images there (F. Wilcoxon, Biometrics Bulletin 1, 1945); `q_value`
        (Benjamini-Hochberg over all rows). Images on which a trait is unknown count nowhere for it: `n` known ones,
        `n_class` of the class.
    """
    table = _joined(dataset, traits, rows)
    cluster = clusters(table["patient_id"], table["image_id"])
    records = [
        {"trait": trait, "class": name, **found}
        for trait in TRAITS
        for name in dataset.meta.classes
        if (found := _compared(table[trait], (table["label"] == name).to_numpy(dtype=bool), cluster, seed)) is not None
    ]
    areas = pd.DataFrame(records, columns=list(COLUMNS)).astype(COLUMNS)
    if len(areas):
        areas["q_value"] = stats.false_discovery_control(areas["p_value"].to_numpy(dtype=float))
    return areas


def trait_leakage(
    dataset: DatasetVersion, traits: pd.DataFrame, rows: NDArray[np.int64] | None = None, *, seed: int
) -> dict[str, Any]:
    """How well all traits together tell `meta.positive` from the rest: cross-validated, folds by patient.

    Gradient-boosted trees; the interval is a bootstrap over patients of the scores out of fold.

    Returns:
        {check, value, meaning}: `value` is {mean, low, high, n} of the AUROC, or None where `meaning` says why not.
    """
    table = _joined(dataset, traits, rows)
    cluster = clusters(table["patient_id"], table["image_id"])
    positive = (table["label"] == dataset.meta.positive).to_numpy(dtype=bool)
    folds = patient_folds(cluster, positive, numpy_generator(seed, "trait-folds"))
    varying = [name for name in TRAITS if len(table[name].dropna().unique()) > 1]
    if folds is None or not varying:
        why = "all traits are constant" if folds is not None else "there are fewer than two patients on one side"
        return {"check": CHECK, "value": None, "meaning": f"Not computed: {why}."}
    features = [feature(table[name], "container") for name in varying]
    scores = score_by_columns(features, positive, folds, derive_seed(seed, "trait-leakage"))
    return {
        "check": CHECK,
        "value": auroc_estimate(scores, positive, cluster, numpy_generator(seed, "trait-leakage-bootstrap")),
        "meaning": f"Cross-validated AUROC of telling {dataset.meta.positive} from the rest by exposure, contrast, "
        "sharpness, resolution, compression, noise and histogram of the whole image; 0.5 is chance.",
    }


def _joined(dataset: DatasetVersion, traits: pd.DataFrame, rows: NDArray[np.int64] | None) -> pd.DataFrame:
    """Ids, label, patient and traits of the chosen rows, in the order of image ids: draws must not follow the table."""
    chosen = dataset.rows("train") if rows is None else rows
    images = dataset.images.iloc[chosen][["image_id", "label", "patient_id"]]
    return images.merge(traits, on="image_id", how="left").sort_values("image_id", ignore_index=True)


def _compared(
    column: pd.Series[Any], inside: NDArray[np.bool_], cluster: NDArray[np.int64], seed: int
) -> dict[str, Any] | None:
    values = column.to_numpy(dtype=np.float64)
    known = np.isfinite(values)
    values, inside, cluster = values[known], inside[known], cluster[known]
    if inside.all() or not inside.any():
        return None
    area = auroc_estimate(values, inside, cluster, numpy_generator(seed, "trait-bootstrap", str(column.name)))
    ours, others = (_by_patient(values[side], cluster[side]) for side in (inside, ~inside))
    return {
        "n": len(values),
        "n_class": int(inside.sum()),
        "auroc": area["mean"],
        "auroc_low": area["low"],
        "auroc_high": area["high"],
        "median_class": float(np.median(values[inside])),
        "median_other": float(np.median(values[~inside])),
        "p_value": float(stats.mannwhitneyu(ours, others).pvalue),
    }


def _by_patient(values: Floats, cluster: NDArray[np.int64]) -> Floats:
    """Mean value of each patient."""
    _, number = np.unique(cluster, return_inverse=True)
    return np.asarray(np.bincount(number, values) / np.bincount(number))
