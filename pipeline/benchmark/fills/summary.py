"""One row a fill and size of hole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.benchmark.fills.probes import CONFIDENCE, PROBES, RESAMPLES
from pipeline.randomness import numpy_generator
from pipeline.statistics import clusters, percentile_interval, resample_weights

UNTOUCHED = "untouched"
"""The row in which nothing was filled."""
ERRORS = ("mae", "rmse", "psnr", "gmsd")
INTERVAL = ("", "_low", "_high")

SUMMARY: dict[str, str] = {
    **dict.fromkeys(("fill", "size"), "string"),
    **dict.fromkeys(("images", "patients"), "int64"),
    **{f"{name}{end}": "Float64" for name in ERRORS for end in INTERVAL},
    "milliseconds": "Float64",
    **{f"{name}{end}": "Float64" for name in PROBES for end in INTERVAL},
    **dict.fromkeys(("filled", "untouched", "probe_patients"), "int64"),
}
"""Columns of summary.parquet: means over images and their 95 % intervals over patients, null where nothing was filled;
the median process time of an image; for each probe its AUROC; how many places and patients the probes saw."""


def summarise(places: pd.DataFrame, units: Sequence[dict[str, Any]], seed: int) -> pd.DataFrame:
    """The summary of places.parquet and the probes of each unit (`fill`, `size`, `probes`), in their order."""
    rows = []
    for unit in units:
        part = places[(places["fill"] == unit["fill"]) & (places["size"] == unit["size"])]
        rows.append({"fill": unit["fill"], "size": unit["size"], **_errors(part, seed), **_probes(unit["probes"])})
    return pd.DataFrame(rows, columns=list(SUMMARY)).astype(SUMMARY)


def _errors(part: pd.DataFrame, seed: int) -> dict[str, Any]:
    if not len(part):
        return {"images": 0, "patients": 0}
    cluster = clusters(part["patient_id"], part["image_id"])
    weights = resample_weights(cluster, RESAMPLES, numpy_generator(seed, "fill-error bootstrap"))
    row: dict[str, Any] = {"images": len(part), "patients": len(set(cluster.tolist()))}
    for name in ERRORS:
        row |= dict(zip((f"{name}{end}" for end in INTERVAL), _mean(part[name].to_numpy(), weights), strict=True))
    return {**row, "milliseconds": 1000 * float(part["seconds"].median())}


def _mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, float | None, float | None]:
    return float(values.mean()), *percentile_interval(weights @ values / weights.sum(axis=1), CONFIDENCE)


def _probes(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, result in found.items():
        row |= {name: result["auroc"], f"{name}_low": result["low"], f"{name}_high": result["high"]}
        row |= {"filled": result["filled"], "untouched": result["untouched"], "probe_patients": result["patients"]}
    return row
