"""Does telling the classes apart survive a change of source? Trained on one source of a class, tested on another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.dataset import DatasetVersion
from pipeline.flag.behaviour.embeddings import fit_logistic
from pipeline.flag.behaviour.estimates import BLOCK, CONFIDENCE, RESAMPLES, Estimate, estimate
from pipeline.randomness import numpy_generator
from pipeline.statistics import Floats, clusters, percentile_interval, resample_weights, weighted_auroc

MIN_IMAGES = 15
"""Training and test images that a source of a class needs."""
MAX_SOURCES = 4
"""The largest sources of a class that are paired."""


@dataclass(frozen=True)
class Features:
    """Features (n, D) of `rows` (n,)."""

    rows: NDArray[np.int64]
    values: NDArray[np.float32]


def fairness_gaps(dataset: DatasetVersion, train: Features, test: Features, seed: int) -> list[dict[str, Any]]:
    """AUROC within a source minus AUROC across sources, for every class with two sources or more.

    After Maguolo and Nanni (Information Fusion 76, 2021), who leave sources out: a logistic regression learns to tell
    the class's images of source A from all images of the other classes; it is tested on held-out images of A
    (`within`) and on images of source B in their place (`cross`). A gap well above 0 says that it learned source A.
    The features are those of the audited classifier, which has seen all sources: the gap of a network trained from
    scratch can only be expected to be larger.

    Returns:
        {class, trained_on, tested_on, within, cross, gap}, the last three estimates {mean, low, high, n}; intervals by
        bootstrap over patients, within and cross drawn together.
    """
    learn, exam = (dataset.images.iloc[part.rows].reset_index(drop=True) for part in (train, test))
    cluster = clusters(exam["patient_id"], exam["image_id"])
    records = []
    for name in dataset.meta.classes:
        for a, b in permutations(_sources(learn, exam, name), 2):
            chosen = _of(learn, name, a) | (learn["label"] != name).to_numpy(dtype=bool)
            own = (learn["label"] == name).to_numpy(dtype=bool)
            model = fit_logistic(train.values[chosen], own[chosen])
            scores = model.predict_proba(test.values.astype(np.float64))[:, 1]
            first, second = _of(exam, name, a), _of(exam, name, b)
            others = (exam["label"] != name).to_numpy(dtype=bool)
            generator = numpy_generator(seed, "fairness-gap", name, a, b)
            within, cross, gap = _gap(scores, first, second, others, cluster, generator)
            records.append(
                {"class": name, "trained_on": a, "tested_on": b, "within": within, "cross": cross, "gap": gap}
            )
    return records


def _sources(learn: pd.DataFrame, exam: pd.DataFrame, name: str) -> list[str]:
    """The largest sources of class `name` with enough images on both sides; none where no other class is there."""
    counts = [part[part["label"] == name]["source"].value_counts() for part in (learn, exam)]
    fewer = counts[0].combine(counts[1], min, fill_value=0)
    others = min(int((part["label"] != name).sum()) for part in (learn, exam))
    enough = [str(source) for source, count in fewer.items() if count >= MIN_IMAGES] if others >= MIN_IMAGES else []
    return sorted(enough, key=lambda source: (-int(fewer[source]), source))[:MAX_SOURCES]


def _of(table: pd.DataFrame, name: str, source: str) -> NDArray[np.bool_]:
    return np.asarray(((table["label"] == name) & (table["source"] == source)).to_numpy(dtype=bool, na_value=False))


def _gap(
    scores: Floats,
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    others: NDArray[np.bool_],
    cluster: NDArray[np.int64],
    generator: np.random.Generator,
) -> tuple[Estimate, Estimate, Estimate]:
    """Estimates within, across and of their difference."""

    def areas(weights: Floats) -> Floats:
        found = [
            weighted_auroc(scores[side | others], side[side | others], weights[:, side | others])
            for side in (first, second)
        ]
        return np.stack([*found, found[0] - found[1]])

    mean = areas(np.ones((1, len(scores))))[:, 0]
    drawn = [areas(resample_weights(cluster, BLOCK, generator)) for _ in range(RESAMPLES // BLOCK)]
    resampled = np.concatenate(drawn, axis=1)
    counts = [int((side | others).sum()) for side in (first, second)] + [int((first | second | others).sum())]
    within, cross, gap = (
        estimate(value, *percentile_interval(values, CONFIDENCE), n)
        for value, values, n in zip(mean, resampled, counts, strict=True)
    )
    return within, cross, gap
