"""What a shortcut cost, and how much of that cleansing and training again wins back.

Precision, recall and F1 are taken at the threshold that is best, by F1, on the classifier's own validation images: a
user has no others. The marker-swapped test is built from the images without marks, so it holds the true marks,
whatever the audit found of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from models.spec import ModelSpec
from pipeline.cleanse import apply_plan, make_plan
from pipeline.config import CleanseConfig
from pipeline.dataset import DatasetVersion
from pipeline.inference import predict
from pipeline.statistics import Floats, weighted_auroc
from pipeline.types import REGION_KINDS

METRICS = ("precision", "recall", "f1", "auroc")
WORTH_WINNING = 0.05
"""Smallest loss of which a share is worth stating: below it the share is noise."""

Numbers = dict[str, float | None]
Test = tuple[DatasetVersion, NDArray[np.int64]]
"""Images and which of them."""


def measured(
    model: nn.Module, spec: ModelSpec, validation: DatasetVersion, tests: Mapping[str, Test]
) -> dict[str, Numbers]:
    """`METRICS` of a classifier on each of `tests`, for the positive class; None where undefined.

    Args:
        model: in evaluation mode.
        spec: its contract.
        validation: its split `val` chooses the threshold.
        tests: by name.
    """
    scores, positive = _scores(model, spec, (validation, validation.rows("val")))
    threshold = best_threshold(scores, positive)
    return {name: _metrics(*_scores(model, spec, test), threshold) for name, test in tests.items()}


def best_threshold(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """The threshold t for which calling ``scores >= t`` positive has the largest F1; the highest of equals.

    Midway between neighbouring scores, so that it does not lean on a single image; 0.5 where there is no positive.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(positive[order])
    if not positive.any():
        return 0.5
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + positive.sum())
    f1[np.flatnonzero(np.diff(ranked) == 0)] = -1  # a threshold cannot part equal scores
    best = int(f1.argmax())
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2)


def won_back(reference: float | None, before: float | None, after: float | None) -> float | None:
    """(after - before) / (reference - before): 1 = all of the loss; None where less than `WORTH_WINNING` was lost."""
    if reference is None or before is None or after is None or reference - before < WORTH_WINNING:
        return None
    return (after - before) / (reference - before)


def cleansed(
    dataset: DatasetVersion,
    confirmed: Sequence[Mapping[str, Any]],
    regions: pd.DataFrame,
    config: CleanseConfig,
    root: Path,
    seed: int,
) -> DatasetVersion | None:
    """`dataset` without the regions of confirmed findings; None where none of them can be taken out.

    Image-wide traits cannot: there is no place to fill.
    """
    removable = [
        finding
        for finding in confirmed
        if finding["kind"] in REGION_KINDS and (regions["kind"] == finding["kind"]).any()
    ]
    if not removable:
        return None
    accepted = {str(finding["id"]): "policy: confirmed" for finding in removable}
    plan = make_plan(removable, regions, dataset, config, accepted)
    return apply_plan(dataset, plan, regions, root, decoys=config.decoys, seed=seed)


def _scores(model: nn.Module, spec: ModelSpec, test: Test) -> tuple[Floats, NDArray[np.bool_]]:
    dataset, rows = test
    column = spec.classes.index(dataset.meta.positive)
    scores = predict(model, spec, dataset, rows)[:, column].astype(np.float64)
    return scores, (dataset.images["label"].iloc[rows] == dataset.meta.positive).to_numpy(dtype=bool)


def _metrics(scores: Floats, positive: NDArray[np.bool_], threshold: float) -> Numbers:
    called = scores >= threshold
    hits = int((called & positive).sum())
    auroc = float(weighted_auroc(scores, positive, np.ones((1, len(scores))))[0])
    return {
        "precision": _ratio(hits, int(called.sum())),
        "recall": _ratio(hits, int(positive.sum())),
        "f1": _ratio(2 * hits, int(called.sum() + positive.sum())),
        "auroc": None if np.isnan(auroc) else auroc,
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
