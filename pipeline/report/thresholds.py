"""Where a classifier says yes: decided on validation images, one threshold a classifier, before any test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.report.predictions import VALIDATION
from pipeline.statistics import Floats, divide

FALLBACK = 0.5


@dataclass(frozen=True)
class Thresholds:
    """How scores become decisions.

    Attributes:
        decision: the rule in words.
        values: threshold by arm and seed; empty where the rule needs none or is `FALLBACK` for all.
        record: for comparison.json: by arm, `n` validation images, `positives`, and `by_seed` the threshold with its
            sensitivity and specificity there; null where none was chosen.
    """

    decision: str
    values: dict[tuple[str, int], float]
    record: dict[str, Any] | None


def choose_thresholds(
    predictions: pd.DataFrame, positive: str, classes: Sequence[str], arms: Sequence[str]
) -> Thresholds:
    """The threshold of every classifier from its predictions of validation images.

    Youden's index rather than F1 is maximised: it does not depend on how frequent the positive class is, which differs
    between validation and the test conditions.

    Args:
        predictions: as `compare` takes them; rows of the condition `VALIDATION` are looked at.
        positive: the positive class.
        classes: all classes; of more than two the likeliest is called, without a threshold.
        arms: names of arms.

    Raises:
        InputError: some classifiers have validation predictions and some have none.
    """
    if len(classes) > 2:
        return Thresholds("class of largest probability", {}, None)
    rows = predictions[predictions["condition"] == VALIDATION]
    if rows["label"].nunique() < 2:
        why = "no validation predictions" if rows.empty else "the validation images are all of one class"
        return Thresholds(f"p({positive}) >= {FALLBACK}; {why} to choose a threshold on", {}, None)
    asked, known = (
        set(zip(part["arm"].astype(str), part["seed"].astype(int), strict=True)) for part in (predictions, rows)
    )
    if asked != known:
        lacking = ", ".join(f"{arm} {seed}" for arm, seed in sorted(asked - known))
        raise InputError(f"Validation predictions are missing for {lacking}. Predict them for every classifier.")
    values: dict[tuple[str, int], float] = {}
    record: dict[str, Any] = {}
    for arm in (arm for arm in arms if (rows["arm"] == arm).any()):
        chosen = []
        for seed, part in rows[rows["arm"] == arm].groupby("seed", sort=True):
            scores = part[f"p_{positive}"].to_numpy(dtype=np.float64)
            truth = (part["label"] == positive).to_numpy(dtype=bool)
            threshold = values[arm, int(str(seed))] = best_threshold(scores, truth)
            called = scores >= threshold
            chosen.append(
                {
                    "threshold": threshold,
                    "sensitivity": float(called[truth].mean()),
                    "specificity": float((~called[~truth]).mean()),
                }
            )
        record[arm] = {"n": len(truth), "positives": int(truth.sum()), "by_seed": chosen}
    words = f"p({positive}) >= the classifier's own threshold, of largest Youden index on its validation images"
    return Thresholds(words, values, record)


def best_threshold(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """The threshold t of largest sensitivity + specificity - 1 for ``score >= t`` (Youden 1950).

    Candidates lie midway between neighbouring scores; of equally good ones the nearest to 0.5 is taken, then the
    lower. `FALLBACK` when all scores are equal.

    Args:
        scores: (n,).
        positive: (n,), both classes present.
    """
    levels = np.unique(scores)
    if len(levels) == 1:
        return FALLBACK
    cuts = (levels[:-1] + levels[1:]) / 2
    sensitivity, false_alarms = (
        1 - divide(np.searchsorted(np.sort(scores[of]), cuts).astype(np.float64), np.full(len(cuts), float(of.sum())))
        for of in (positive, ~positive)
    )
    index = np.round(sensitivity - false_alarms, 12)  # equal in truth, unequal by rounding: equal
    return float(min(cuts[index == index.max()], key=lambda cut: (abs(cut - FALLBACK), cut)))
