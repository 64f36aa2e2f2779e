"""What the classifiers said of the test images: asked, checked, and laid side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.dataset import DatasetVersion
from pipeline.errors import EmptyResultError, InputError
from pipeline.inference import BATCH, probabilities
from pipeline.statistics import Floats, clusters

ARMS = ("before", "after", "control")
CONDITIONS = ("raw", "cleansed", "marker_swapped", "other_source")
VALIDATION = "validation"
"""Predictions of validation images stand beside the test conditions; they choose thresholds and are never reported."""
ATTRIBUTES = ("source", "view", "sex", "age")
"""Columns of the images table that predictions carry along for the tables by group."""


@dataclass(frozen=True)
class Run:
    """What one classifier said of the images of one condition, in their order.

    Attributes:
        scores: (n,) probability of the positive class.
        winners: (n,) number of the class it calls.
        called: (n,) whether that is the positive class.
    """

    scores: Floats
    winners: NDArray[np.int64]
    called: NDArray[np.bool_]

    def __getitem__(self, rows: NDArray[np.bool_]) -> Run:
        return Run(self.scores[rows], self.winners[rows], self.called[rows])


@dataclass(frozen=True)
class Tested:
    """All classifiers on the images of one condition.

    Attributes:
        images: n rows in id order: `image_id`, `patient_id`, `label`, and what is known of `ATTRIBUTES`.
        labels: (n,) number of the class.
        positive: (n,) whether that is the positive class.
        cluster: (n,) number of the patient.
        runs: by arm, one entry a seed, seeds ascending.
        classes: how many.
    """

    images: pd.DataFrame
    labels: NDArray[np.int64]
    positive: NDArray[np.bool_]
    cluster: NDArray[np.int64]
    runs: dict[str, list[Run]]
    classes: int

    def __getitem__(self, rows: NDArray[np.bool_]) -> Tested:
        return Tested(
            self.images[rows].reset_index(drop=True),
            self.labels[rows],
            self.positive[rows],
            np.unique(self.cluster[rows], return_inverse=True)[1].astype(np.int64),
            {arm: [run[rows] for run in runs] for arm, runs in self.runs.items()},
            self.classes,
        )

    @property
    def counts(self) -> dict[str, int]:
        """Images, positives, patients, and images of unknown patients (each its own cluster)."""
        return {
            "n": len(self.images),
            "positives": int(self.positive.sum()),
            "patients": len(np.unique(self.cluster)),
            "unknown_patients": int(self.images["patient_id"].isna().sum()),
        }


def evaluate(
    classifiers: Mapping[tuple[str, int], tuple[nn.Module, ModelSpec]], dataset: DatasetVersion, rows: NDArray[np.int64]
) -> pd.DataFrame:
    """Predictions of `rows` by every classifier.

    Columns: `arm`, `seed`, `image_id`, `patient_id`, `label`, those of `ATTRIBUTES`, and ``p_<class>``.

    Args:
        classifiers: (arm, seed) -> classifier and its contract. Images are read once for all of them.
        dataset: where the pixels are.
        rows: row numbers of `dataset`.
    """
    columns = ["image_id", "patient_id", "label", *ATTRIBUTES]
    images = dataset.images.iloc[rows][columns].reset_index(drop=True)
    found: dict[tuple[str, int], list[NDArray[np.float32]]] = {key: [] for key in classifiers}
    for start in range(0, len(rows), BATCH):
        batch = dataset.tensor(rows[start : start + BATCH])
        inputs: dict[ModelSpec, Tensor] = {}
        for key, (model, spec) in classifiers.items():
            if spec not in inputs:
                inputs[spec] = spec.preprocess(batch)
            found[key].append(probabilities(model, inputs[spec]))
    tables = [
        images.assign(
            arm=arm, seed=seed, **{f"p_{name}": column for name, column in zip(spec.classes, values.T, strict=True)}
        )
        for (arm, seed), (_, spec) in classifiers.items()
        for values in [np.concatenate(found[arm, seed])]
    ]
    return pd.concat(tables, ignore_index=True)


def check(predictions: pd.DataFrame, classes: Sequence[str], positive: str, arms: Sequence[str], baseline: str) -> None:
    """Refuse predictions that cannot be compared.

    Raises:
        InputError: a column is missing, a name is unknown, a probability is missing, an image is counted twice.
        EmptyResultError: no predictions of a test condition.
    """
    needed = ["arm", "seed", "condition", "image_id", "patient_id", "label", *(f"p_{name}" for name in classes)]
    missing = [name for name in needed if name not in predictions]
    if missing:
        raise InputError(
            f"The predictions lack the columns {', '.join(missing)}; found {', '.join(map(str, predictions.columns))}."
        )
    if not predictions["condition"].isin(CONDITIONS).any():
        raise EmptyResultError("There are no predictions to compare. Predict the test images of every arm first.")
    for column, allowed in (("arm", arms), ("condition", (*CONDITIONS, VALIDATION)), ("label", classes)):
        unknown = set(predictions[column]) - set(allowed)
        if unknown:
            raise InputError(f"Unknown {column} {', '.join(map(str, unknown))}. Allowed: {', '.join(allowed)}.")
    for name, among, what in ((positive, classes, "positive class"), (baseline, arms, "baseline")):
        if name not in among:
            raise InputError(f"The {what} {name!r} is not among {', '.join(among)}.")
    if predictions[[f"p_{name}" for name in classes]].isna().any(axis=None):
        raise InputError(
            "Some probabilities are missing (NaN). A model that gives NaN cannot be compared; train it again."
        )
    if predictions.duplicated(["arm", "seed", "condition", "image_id"]).any():
        raise InputError("An image was predicted twice for one arm, seed and condition. Give each once.")


def align(
    table: pd.DataFrame,
    condition: str,
    positive: str,
    classes: Sequence[str],
    arms: Sequence[str],
    thresholds: Mapping[tuple[str, int], float],
) -> Tested:
    """The predictions of one condition, images in id order, arms in the order of `arms`.

    Args:
        table: predictions of one condition.
        condition: its name, for messages.
        positive: the positive class.
        classes: all classes.
        arms: names of arms; those without predictions are left out.
        thresholds: by arm and seed; 0.5 where there is none. Two classes only: of more, the likeliest is called.

    Raises:
        InputError: arms were tested on different images or seeds.
    """
    parts: dict[str, dict[int, pd.DataFrame]] = {}
    for arm in (arm for arm in arms if (table["arm"] == arm).any()):
        by_seed = table[table["arm"] == arm].groupby("seed", sort=True)
        parts[arm] = {_seed(key): part.sort_values("image_id").reset_index(drop=True) for key, part in by_seed}
    seeds = {arm: list(found) for arm, found in parts.items()}
    first = next(iter(next(iter(parts.values())).values()))
    for arm, found in parts.items():
        if seeds[arm] != next(iter(seeds.values())):
            raise InputError(f"{condition}: the arms were trained with different seeds, {seeds}. Use the same ones.")
        if any(not part[["image_id", "label"]].equals(first[["image_id", "label"]]) for part in found.values()):
            raise InputError(f"{condition}: {arm} was tested on other images or labels. Predict the same rows.")
    kept = ["image_id", "patient_id", "label", *(name for name in ATTRIBUTES if name in first)]
    column = list(classes).index(positive)
    runs = {
        arm: [_run(part, classes, column, thresholds.get((arm, seed), 0.5)) for seed, part in found.items()]
        for arm, found in parts.items()
    }
    labels = np.array([list(classes).index(label) for label in first["label"]], dtype=np.int64)
    cluster = clusters(first["patient_id"], first["image_id"])
    return Tested(first[kept], labels, labels == column, cluster, runs, len(classes))


def _seed(key: Any) -> int:
    return int(key)


def _run(part: pd.DataFrame, classes: Sequence[str], column: int, threshold: float) -> Run:
    values = part[[f"p_{name}" for name in classes]].to_numpy(dtype=np.float64)
    if len(classes) == 2:
        called = values[:, column] >= threshold
        winners = np.where(called, column, 1 - column)
    else:
        winners = values.argmax(axis=1)
        called = winners == column
    return Run(values[:, column], winners.astype(np.int64), np.asarray(called, dtype=np.bool_))
