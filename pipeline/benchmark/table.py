"""From numbers per image to numbers per method, with intervals that are paired between methods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.randomness import numpy_generator
from pipeline.statistics import clusters, divide, percentile_interval, resample_weights

REFERENCE = "igos++"
"""The method that all are compared with."""
RESAMPLES = 2000
CONFIDENCE = 0.95

Floats = NDArray[np.float64]


def summarise(
    measured: pd.DataFrame, metrics: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """One row per method, in order of appearance.

    A mean is over the images that have the number; its interval holds percentiles of that mean over bootstrap samples
    of patients. All methods share the samples, so differences to `REFERENCE` are paired; they are over the images
    that have the number from both.

    Args:
        measured: one row per method and image: `explainer`, `image_id`, `patient_id` (null: unknown, its own
            cluster), `error` (null: none) and the metrics, null where not measured. Every method has the same images.
        metrics: columns to summarise.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        `explainer`, `images`, `failed`; for every metric m: ``m`` (mean), ``m_low``, ``m_high``, ``m_n`` and, against
        `REFERENCE`, ``m_difference``, ``m_difference_low``, ``m_difference_high``. Null where nothing was measured.
    """
    methods = list(dict.fromkeys(measured["explainer"]))
    parts = {name: _in_order(measured, name) for name in methods}
    images = parts[methods[0]]
    cluster = clusters(images["patient_id"], images["image_id"])
    weights = resample_weights(cluster, resamples, numpy_generator(seed, "bootstrap", "explainers"))
    weights = np.vstack([np.ones(len(images)), weights])  # the first sample is the images as they are
    rows = []
    for name, part in parts.items():
        row: dict[str, object] = {"explainer": name, "images": len(part), "failed": int(part["error"].notna().sum())}
        for metric in metrics:
            values = _values(part, metric)
            row |= _estimate(metric, values, weights)
            row[f"{metric}_n"] = int((~np.isnan(values)).sum())
            if REFERENCE in parts and name != REFERENCE:
                row |= _estimate(f"{metric}_difference", values - _values(parts[REFERENCE], metric), weights)
        rows.append(row)
    columns = ["explainer", "images", "failed", *(each for metric in metrics for each in summary_columns(metric))]
    kinds = {name: "Int64" if name.endswith("_n") else "Float64" for name in columns[3:]}
    return pd.DataFrame(rows, columns=columns).astype({"explainer": "string", **kinds})


def summary_columns(metric: str) -> list[str]:
    """The columns of `summarise` that are about `metric`."""
    return [metric, *(f"{metric}_{part}" for part in ("low", "high", "n"))] + [
        f"{metric}_difference{part}" for part in ("", "_low", "_high")
    ]


def _in_order(measured: pd.DataFrame, name: str) -> pd.DataFrame:
    return measured[measured["explainer"] == name].sort_values("image_id").reset_index(drop=True)


def _values(part: pd.DataFrame, metric: str) -> Floats:
    values: Floats = part[metric].to_numpy(dtype=np.float64, na_value=np.nan)
    return values


def _estimate(name: str, values: Floats, weights: Floats) -> dict[str, float | None]:
    """Mean and interval of the defined `values` (n,); the first row of `weights` gives the mean."""
    defined = ~np.isnan(values)
    means = divide(weights[:, defined] @ values[defined], weights[:, defined].sum(axis=1))
    low, high = percentile_interval(means[1:], CONFIDENCE)
    mean = None if np.isnan(means[0]) else float(means[0])
    return {name: mean, f"{name}_low": low, f"{name}_high": high}
