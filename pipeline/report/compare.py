"""Before, after and control on four test conditions, with intervals that respect patients and pairing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.config import CompareConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import EmptyResultError, InputError
from pipeline.inference import BATCH, probabilities
from pipeline.randomness import numpy_generator
from pipeline.statistics import Floats, clusters, divide, percentile_interval, resample_weights, weighted_auroc

CONDITIONS = ("raw", "cleansed", "marker_swapped", "other_source")
ARMS = ("before", "after", "control")
METRICS = ("precision", "recall", "f1", "auroc")
DIFFERENCES = (
    ("after-before", "after", "before"),
    ("control-before", "control", "before"),
    ("after-control", "after", "control"),
)

_BLOCK = 2_000_000
"""Numbers of one block of resample weights: bounds memory, whatever the number of images."""


def evaluate(
    classifiers: Mapping[tuple[str, int], tuple[nn.Module, ModelSpec]], dataset: DatasetVersion, rows: NDArray[np.int64]
) -> pd.DataFrame:
    """Predictions of `rows` by every classifier: `arm`, `seed`, `image_id`, `patient_id`, `label`, ``p_<class>``.

    Args:
        classifiers: (arm, seed) -> classifier and its contract. Images are read once for all of them.
        dataset: where the pixels are.
        rows: row numbers of `dataset`.
    """
    images = dataset.images.iloc[rows][["image_id", "patient_id", "label"]].reset_index(drop=True)
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


def _columns(spec: ModelSpec, values: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    return {f"p_{name}": values[:, number] for number, name in enumerate(spec.classes)}


def compare(
    predictions: pd.DataFrame, positive: str, classes: Sequence[str], config: CompareConfig, seed: int = 0
) -> dict[str, Any]:
    """The content of comparison.json.

    A metric's ``mean`` is its average over seeds on the images as they are; ``low`` and ``high`` are percentiles of
    that average over bootstrap samples of patients. All arms and seeds of a condition share the samples, so
    differences are paired. Undefined values (precision without a positive prediction) are null and counted.

    Args:
        predictions: one row per arm, seed, condition and image: `arm` (of `ARMS`), `seed`, `condition` (of
            `CONDITIONS`), `image_id`, `patient_id` (null: unknown, its own cluster), `label`, ``p_<class>``.
        positive: the class that precision, recall, F1 and AUROC are about; AUROC is one against the rest.
        classes: all classes.
        config: number of resamples and confidence.
        seed: of the bootstrap.

    Raises:
        InputError: a column is missing, an image is counted twice, or arms were tested on different images or seeds.
        EmptyResultError: no predictions.
    """
    _check(predictions, classes, positive)
    conditions = {
        name: _condition(predictions[predictions["condition"] == name], name, positive, classes, config, seed)
        for name in CONDITIONS
        if (predictions["condition"] == name).any()
    }
    return {
        "positive": positive,
        "classes": list(classes),
        "seeds": sorted(int(number) for number in predictions["seed"].unique()),
        "decision": f"p({positive}) >= 0.5" if len(classes) == 2 else "class of largest probability",
        "interval": {
            "method": "percentile bootstrap over patients, seeds averaged, paired between arms",
            "confidence": config.confidence,
            "resamples": config.bootstrap,
        },
        "conditions": conditions,
    }


def _check(predictions: pd.DataFrame, classes: Sequence[str], positive: str) -> None:
    needed = ["arm", "seed", "condition", "image_id", "patient_id", "label", *(f"p_{name}" for name in classes)]
    missing = [name for name in needed if name not in predictions]
    if missing:
        raise InputError(
            f"The predictions lack the columns {', '.join(missing)}; found {', '.join(map(str, predictions.columns))}."
        )
    if predictions.empty:
        raise EmptyResultError("There are no predictions to compare. Predict before and after cleansing first.")
    for column, allowed in (("arm", ARMS), ("condition", CONDITIONS), ("label", classes)):
        unknown = set(predictions[column]) - set(allowed)
        if unknown:
            raise InputError(f"Unknown {column} {', '.join(map(str, unknown))}. Allowed: {', '.join(allowed)}.")
    if positive not in classes:
        raise InputError(f"The positive class {positive!r} is not among the classes {', '.join(classes)}.")
    if predictions[[f"p_{name}" for name in classes]].isna().any(axis=None):
        raise InputError(
            "Some probabilities are missing (NaN). A model that gives NaN cannot be compared; train it again."
        )
    if predictions.duplicated(["arm", "seed", "condition", "image_id"]).any():
        raise InputError("An image was predicted twice for one arm, seed and condition. Give each once.")


def _condition(
    table: pd.DataFrame, name: str, positive: str, classes: Sequence[str], config: CompareConfig, seed: int
) -> dict[str, Any]:
    images, runs = _align(table, name)
    is_positive = (images["label"] == positive).to_numpy(dtype=bool)
    cluster = clusters(images["patient_id"], images["image_id"])
    generator = numpy_generator(seed, "bootstrap", name)
    block = max(1, _BLOCK // len(images))
    sizes = [min(block, config.bootstrap - start) for start in range(0, config.bootstrap, block)]
    weights = (resample_weights(cluster, size, generator) for size in sizes)
    blocks = [_measure(runs, is_positive, positive, classes, each) for each in weights]
    resampled = {arm: np.concatenate([each[arm] for each in blocks], axis=-1) for arm in runs}
    observed = _measure(runs, is_positive, positive, classes, np.ones((1, len(images))))
    result: dict[str, Any] = {
        "n": len(images),
        "positives": int(is_positive.sum()),
        "patients": int(cluster.max()) + 1,
        "unknown_patients": int(images["patient_id"].isna().sum()),
    }
    for arm in runs:
        result[arm] = _summaries(observed[arm], resampled[arm], config.confidence)
    result["differences"] = {
        title: _differences(observed, resampled, later, earlier, config.confidence)
        for title, later, earlier in DIFFERENCES
        if later in runs and earlier in runs
    }
    return result


def _align(table: pd.DataFrame, condition: str) -> tuple[pd.DataFrame, dict[str, list[pd.DataFrame]]]:
    """Images in id order, and for each arm its runs (one a seed) in that order."""
    runs: dict[str, list[pd.DataFrame]] = {}
    seeds: dict[str, list[Any]] = {}
    for arm in (arm for arm in ARMS if (table["arm"] == arm).any()):
        parts = table[table["arm"] == arm].groupby("seed", sort=True)
        runs[arm] = [part.sort_values("image_id").reset_index(drop=True) for _, part in parts]
        seeds[arm] = list(parts.groups)
    images = next(iter(runs.values()))[0][["image_id", "patient_id", "label"]]
    for arm, tables in runs.items():
        if seeds[arm] != next(iter(seeds.values())):
            raise InputError(f"{condition}: the arms were trained with different seeds, {seeds}. Use the same ones.")
        if any(not part[["image_id", "label"]].equals(images[["image_id", "label"]]) for part in tables):
            raise InputError(f"{condition}: {arm} was tested on other images or labels. Predict the same rows.")
    return images, runs


def _measure(
    runs: dict[str, list[pd.DataFrame]],
    is_positive: NDArray[np.bool_],
    positive: str,
    classes: Sequence[str],
    weights: Floats,
) -> dict[str, Floats]:
    """Every metric of every run under every row of weights: by arm, (metrics, seeds, resamples)."""
    return {
        arm: np.stack([_metrics(run, is_positive, positive, classes, weights) for run in tables], axis=1)
        for arm, tables in runs.items()
    }


def _metrics(
    run: pd.DataFrame, is_positive: NDArray[np.bool_], positive: str, classes: Sequence[str], weights: Floats
) -> Floats:
    scores = run[f"p_{positive}"].to_numpy(dtype=np.float64)
    called = _called_positive(run, positive, classes)
    counted = np.stack([called & is_positive, called & ~is_positive, ~called & is_positive], axis=1)
    hits, false_alarms, misses = (weights @ counted.astype(np.float64)).T
    return np.stack(
        [
            divide(hits, hits + false_alarms),
            divide(hits, hits + misses),
            divide(2 * hits, 2 * hits + false_alarms + misses),
            weighted_auroc(scores, is_positive, weights),
        ]
    )


def _called_positive(run: pd.DataFrame, positive: str, classes: Sequence[str]) -> NDArray[np.bool_]:
    probabilities = run[[f"p_{name}" for name in classes]].to_numpy(dtype=np.float64)
    column = list(classes).index(positive)
    if len(classes) == 2:
        return np.asarray(probabilities[:, column] >= 0.5)
    return np.asarray(probabilities.argmax(axis=1) == column)


def _summaries(observed: Floats, resampled: Floats, confidence: float) -> dict[str, Any]:
    return {
        metric: {
            **_summary(_over_seeds(observed[row])[0], _over_seeds(resampled[row]), confidence),
            "by_seed": [_or_none(value) for value in observed[row, :, 0]],
        }
        for row, metric in enumerate(METRICS)
    }


def _differences(
    observed: dict[str, Floats], resampled: dict[str, Floats], later: str, earlier: str, confidence: float
) -> dict[str, Any]:
    return {
        metric: _summary(
            _over_seeds(observed[later][row])[0] - _over_seeds(observed[earlier][row])[0],
            _over_seeds(resampled[later][row]) - _over_seeds(resampled[earlier][row]),
            confidence,
        )
        for row, metric in enumerate(METRICS)
    }


def _over_seeds(values: Floats) -> Floats:
    """Mean over axis 0 of the defined values, NaN where none is defined."""
    return divide(np.nansum(values, axis=0), (~np.isnan(values)).sum(axis=0).astype(np.float64))


def _summary(mean: float, resampled: Floats, confidence: float) -> dict[str, Any]:
    low, high = percentile_interval(resampled, confidence)
    known = not np.isnan(mean)
    return {
        "mean": _or_none(mean),
        "low": low if known else None,
        "high": high if known else None,
        "undefined_resamples": int(np.isnan(resampled).sum()),
    }


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
