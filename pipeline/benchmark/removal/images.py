"""From what was kept of each image to one row an image and method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pipeline.benchmark.removal.plausibility import Judge, Pictures, distances, likeness, probe_scores
from pipeline.benchmark.removal.trial import LEVELS, Unit
from pipeline.explain.metrics import similarity
from pipeline.statistics import clusters

SPREAD = ("localisation", "rise_deletion", "saliency_metric")
"""Numbers whose variance over settings is kept."""
ACCURACY = ("iou", "pointing", "enrichment", "saliency_metric", "rise_deletion", "igos_deletion")


def image_table(units: Sequence[Unit], judge: Judge, real: Pictures) -> pd.DataFrame:
    """One row an image and method, images in order: `image_id`, `patient_id`, `explainer`, and the measures.

    The keys are those of `measures.MEASURES`; `probe_own` (number) and `probe` (list) are the probe's scores of the
    image and of its queries. Null where a method has no queries or one setting only.

    Args:
        units: one an image.
        judge: describes pictures.
        real: x-rays of other patients, (m, H, W) uint8.
    """
    rows = pd.concat([unit.rows for unit in units], ignore_index=True)
    rows["localisation"] = rows[list(LEVELS)].mean(axis=1)
    names = list(dict.fromkeys(rows["explainer"]))
    described = judge.describe(real)
    tables = [_of_method(name, rows[rows["explainer"] == name], units, judge, described) for name in names]
    return pd.concat(tables, ignore_index=True)


def _of_method(
    name: str, rows: pd.DataFrame, units: Sequence[Unit], judge: Judge, real: NDArray[np.float64]
) -> pd.DataFrame:
    usual = rows[rows["setting"] == 0].reset_index(drop=True)
    cluster = clusters(usual["patient_id"], usual["image_id"])
    table = usual[["image_id", "patient_id", "explainer", "localisation", *ACCURACY]].copy()
    table["localisation_tuned"] = tuned_errors(usual[list(LEVELS)].to_numpy(dtype=np.float64), cluster)
    records = [_robustness(name, unit, rows) for unit in units]
    if name in units[0].queries:
        records = [a | b for a, b in zip(records, _plausibility(name, units, judge, real, cluster), strict=True)]
    return table.join(pd.DataFrame(records))


def tuned_errors(errors: NDArray[np.float64], cluster: NDArray[np.int64]) -> NDArray[np.float64]:
    """Error (n,) of each image at the threshold with the fewest errors on images of other patients.

    Args:
        errors: 0 or 1, (n, thresholds); of equal thresholds the first is taken.
        cluster: number of each image's patient.
    """
    chosen = [int(errors[cluster != own].sum(axis=0).argmin()) for own in cluster]
    return np.asarray(errors[np.arange(len(errors)), chosen])


def _robustness(name: str, unit: Unit, rows: pd.DataFrame) -> dict[str, Any]:
    maps = unit.maps[name]
    if len(maps) < 2:
        return {}
    alike = similarity([torch.from_numpy(each)[None, None] for each in maps])
    own = rows[rows["image_id"] == unit.rows["image_id"].iloc[0]]
    return {
        "ssim": float(alike.ssim),
        "hog": float(alike.hog),
        "spearman": float(alike.spearman),
        **{f"variance_{key}": float(own[key].var(ddof=0)) for key in SPREAD},
    }


def _plausibility(
    name: str, units: Sequence[Unit], judge: Judge, real: NDArray[np.float64], cluster: NDArray[np.int64]
) -> list[dict[str, Any]]:
    described = [(judge.describe(unit.image[None])[0], judge.describe(unit.queries[name])) for unit in units]
    scores = probe_scores(described, cluster, real)
    return [
        {
            "distance": float((distances(queries, real) / distances(own[None], real)).mean()),
            "likeness": float(likeness(unit.queries[name], unit.image).mean()),
            "probe_own": score,
            "probe": list(of_queries),
        }
        for unit, (own, queries), (score, of_queries) in zip(units, described, scores, strict=True)
    ]
