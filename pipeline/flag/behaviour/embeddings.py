"""What a classifier's last hidden layer knows besides the label: source, view, sex, manufacturer.

Maguolo and Nanni (Information Fusion 76, 2021) predict the source from images of one class only, so that the label
cannot stand in for it; so do we, on the features that the audited classifier itself computes. An AUROC well above
chance says that the classifier encodes the attribute, not yet that it uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.dataset import DatasetVersion
from pipeline.flag.behaviour.estimates import (
    BLOCK,
    CONFIDENCE,
    RESAMPLES,
    Estimate,
    estimate,
    permutation_p,
    permuted_rows,
)
from pipeline.randomness import derive_seed, numpy_generator
from pipeline.statistics import Floats, clusters, percentile_interval, resample_weights, weighted_auroc

ATTRIBUTES = ("source", "view", "sex", "manufacturer")
COMPONENTS = 16
"""Principal components that the attribute classifier sees."""
FOLDS = 5
MIN_IMAGES = 15
"""A value of an attribute counts when at least this many images of the class have it, of `FOLDS` patients or more."""
MAX_IMAGES = 1000
"""Images of one class that are used, drawn at random where there are more."""
NULL = 99
"""Permutations; each is cross-validated anew."""


def embedding_leakage(
    features: NDArray[np.float32],
    dataset: DatasetVersion,
    rows: NDArray[np.int64],
    seed: int,
    attributes: Sequence[str] = ATTRIBUTES,
) -> list[dict[str, Any]]:
    """How well `features` tell each attribute apart on images of one class at a time.

    Multinomial logistic regression on the first `COMPONENTS` principal components, cross-validated in folds by patient;
    AUROC of each value against the others, averaged over the values. Intervals: bootstrap over patients. Null: values
    are permuted over patients and everything is cross-validated again, `NULL` times.

    Args:
        features: (n, D) of `rows`, from `penultimate`.
        dataset: the attributes, labels and patients.
        rows: row numbers of `dataset`.
        seed: of the run.
        attributes: columns of the images table.

    Returns:
        One dict for each attribute and class, {check, attribute, class, values: {value: images}, value, null95, p,
        meaning}; `value` is an estimate {mean, low, high, n}, or None, with null95 and p, where `meaning` says why.
    """
    table = dataset.images.iloc[rows].reset_index(drop=True)
    return [
        _leakage(features, table, attribute, name, seed) for attribute in attributes for name in dataset.meta.classes
    ]


def fit_logistic(features: NDArray[np.float32], labels: NDArray[Any]) -> Pipeline:
    """Standardisation, `COMPONENTS` principal components and L2-regularised logistic regression, fitted."""
    count = min(COMPONENTS, *features.shape)
    steps = StandardScaler(), PCA(count, svd_solver="full"), StandardScaler(), LogisticRegression(max_iter=300)
    return make_pipeline(*steps).fit(features.astype(np.float64), labels)


def _leakage(
    features: NDArray[np.float32], table: pd.DataFrame, attribute: str, name: str, seed: int
) -> dict[str, Any]:
    purpose = f"{attribute} {name}"
    chosen = _usable(table, attribute, name, derive_seed(seed, "embedding-sample", purpose))
    part = table.iloc[chosen]
    values, codes = np.unique(part[attribute].to_numpy(dtype=str), return_inverse=True)
    record: dict[str, Any] = {
        "check": f"{attribute} from the classifier's features, {name} only",
        "attribute": attribute,
        "class": name,
        "values": {str(value): int((codes == number).sum()) for number, value in enumerate(values)},
    }
    if len(values) < 2:
        why = f"fewer than two values of {attribute} have {MIN_IMAGES} images and {FOLDS} patients among {name}"
        return record | {"value": None, "null95": None, "p": None, "meaning": f"Not computed: {why}."}
    cluster = clusters(part["patient_id"], part["image_id"])
    inputs = _reduced(features[chosen])
    fold = _folds(cluster, numpy_generator(seed, "embedding-folds", purpose))
    scores = _out_of_fold(inputs, codes, fold)
    found = _macro_estimate(scores, codes, cluster, numpy_generator(seed, "embedding-bootstrap", purpose))
    permuted = permuted_rows(cluster, NULL, numpy_generator(seed, "embedding-null", purpose))
    null = np.array([_macro(_out_of_fold(inputs, codes[p], fold), codes[p])[0] for p in permuted])
    null = null[~np.isnan(null)]
    return record | {
        "value": found,
        "null95": float(np.quantile(null, 0.95)),
        "p": permutation_p(found["mean"], null),
        "meaning": f"Cross-validated AUROC of telling {', '.join(values)} apart by the classifier's last hidden layer "
        f"on {name} images alone, each against the rest; 0.5 is chance. High: the classifier encodes the {attribute}.",
    }


def _reduced(features: NDArray[np.float32]) -> Floats:
    """Standardised principal components, (n, at most `COMPONENTS`).

    The reduction never sees an attribute, so it is made once for all folds and permutations.
    """
    steps = StandardScaler(), PCA(min(COMPONENTS, *features.shape), svd_solver="full"), StandardScaler()
    return np.asarray(make_pipeline(*steps).fit_transform(features.astype(np.float64)))


def _usable(table: pd.DataFrame, attribute: str, name: str, seed: int) -> NDArray[np.int64]:
    """Positions of images of class `name` whose value of `attribute` is frequent enough, in order."""
    known = table[(table["label"] == name) & table[attribute].notna()]
    if len(known) > MAX_IMAGES:
        draws = np.array([derive_seed(seed, str(image_id)) for image_id in known["image_id"]])
        known = known.iloc[np.sort(np.argsort(draws, kind="stable")[:MAX_IMAGES])]
    patients = pd.Series(clusters(known["patient_id"], known["image_id"]), index=known.index)
    counts = known[attribute].value_counts()
    people = patients.groupby(known[attribute]).nunique()
    frequent = [value for value in counts.index if counts[value] >= MIN_IMAGES and people[value] >= FOLDS]
    return known.index[known[attribute].isin(frequent)].to_numpy(dtype=np.int64)


def _folds(cluster: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Fold of every image, by patient; never by the attribute, so that permuted values are as good as the true ones."""
    count = int(cluster.max()) + 1
    return np.asarray((generator.permutation(count) % FOLDS)[cluster], dtype=np.int64)


def _out_of_fold(inputs: Floats, codes: NDArray[np.int64], fold: NDArray[np.int64]) -> Floats:
    """Probability of every value for every image by a model that has not seen its patient, (n, values)."""
    scores = np.zeros((len(codes), int(codes.max()) + 1))
    for number in range(FOLDS):
        train, test = fold != number, np.flatnonzero(fold == number)
        if len(np.unique(codes[train])) > 1:
            model = LogisticRegression(max_iter=300).fit(inputs[train], codes[train])
            scores[np.ix_(test, model.classes_)] = model.predict_proba(inputs[test])
    return scores


def _macro(scores: Floats, codes: NDArray[np.int64], weights: Floats | None = None) -> Floats:
    """Mean over the values of the AUROC of each against the rest, for every row of weights."""
    weights = np.ones((1, len(codes))) if weights is None else weights
    return np.asarray(
        np.mean([weighted_auroc(scores[:, k], codes == k, weights) for k in range(scores.shape[1])], axis=0)
    )


def _macro_estimate(
    scores: Floats, codes: NDArray[np.int64], cluster: NDArray[np.int64], generator: np.random.Generator
) -> Estimate:
    drawn = (resample_weights(cluster, BLOCK, generator) for _ in range(RESAMPLES // BLOCK))
    resampled = np.concatenate([_macro(scores, codes, weights) for weights in drawn])
    return estimate(_macro(scores, codes)[0], *percentile_interval(resampled, CONFIDENCE), len(codes))
