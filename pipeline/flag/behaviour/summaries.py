"""The erase and transplant tables in numbers: one JSON-ready record per kind (and class), with intervals, p and q.

Every number pays for the looks that were planned (`sequential`): p-values are multiplied by them, intervals widened. p
also pays for the choice among the measures it was picked from, q is Benjamini-Hochberg over the records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.flag.behaviour.estimates import CONFIDENCE, Estimate, mean_estimate, proportion
from pipeline.flag.behaviour.sequential import sign_flip_p_values
from pipeline.randomness import numpy_generator
from pipeline.statistics import Floats, clusters

Record = dict[str, Any]


def erase_summary(effects: pd.DataFrame, classes: Sequence[str], seed: int) -> list[Record]:
    """One record per kind of the table of `intervene`.

    {kind, tested, available, looks, stopped, untestable, passes, flip_rate, p, q, classes}; `classes` maps each class
    to {excess, logit_excess (estimates of effect − control mean), p, logit_p}. The record's p is the smallest of those.
    All p-values are one-sided and already adjusted for the choice of class and scale; null without a tested image.
    """
    records = []
    for kind, rows in effects.groupby("kind", sort=True):
        tested = rows[rows["predicted_removed"].notna()]
        measures = {f"{scale}{name}": _excess(tested, scale, f"_{name}") for scale in _SCALES for name in classes}
        sizes, p = _tested(tested, measures, seed, f"erase {kind}")
        by_class = {
            name: {
                "excess": sizes[name],
                "logit_excess": sizes[f"logit_{name}"],
                "p": p[name],
                "logit_p": p[f"logit_{name}"],
            }
            for name in classes
        }
        flips = proportion(int(tested["flip"].sum()), len(tested))
        records.append(
            {"kind": str(kind), **_counts(rows, tested), "flip_rate": flips, "classes": by_class, "p": p["min"]}
        )
    return _with_q(records)


def transplant_summary(table: pd.DataFrame, seed: int) -> list[Record]:
    """One record per kind and class of donors of the table of `transplant`.

    {kind, class, tested, available, looks, stopped, untestable, passes, reasons, excess, logit_excess, flip_rate,
    control_flip_rate, p, q}: `reasons` counts the untestable pairs; rates are over recipients that were not predicted
    as the class before; p as in `erase_summary`, over the two scales. Patients are those of the recipients.
    """
    records = []
    for (kind, name), rows in table.groupby(["kind", "class"], sort=True):
        tested = rows[rows["predicted_pasted"].notna()]
        measures = {f"{scale}excess": _excess(tested, scale, "") for scale in _SCALES}
        purpose = f"transplant {kind} {name}"
        sizes, p = _tested(tested, measures, seed, purpose)
        others = tested[tested["flip"].notna()]
        rates = others["control_flip_rate"].to_numpy(dtype=np.float64)
        generator = numpy_generator(seed, "summary", purpose, "control flips")
        records.append(
            {
                "kind": str(kind),
                "class": str(name),
                **_counts(rows, tested),
                "reasons": {str(why): int(n) for why, n in rows["reason"].value_counts().sort_index().items()},
                **sizes,
                "flip_rate": proportion(int(others["flip"].sum()), len(others)),
                "control_flip_rate": mean_estimate(rates, _cluster(others), generator),
                "p": p["min"],
            }
        )
    return _with_q(records)


_SCALES = ("", "logit_")


def _excess(tested: pd.DataFrame, scale: str, suffix: str) -> Floats:
    effect, control = tested[f"{scale}effect{suffix}"], tested[f"{scale}control_mean{suffix}"]
    return np.asarray((effect - control).to_numpy(dtype=np.float64))


def _cluster(tested: pd.DataFrame) -> Any:
    return clusters(tested["patient_id"], tested["image_id"])


def _tested(
    tested: pd.DataFrame, measures: dict[str, Floats], seed: int, purpose: str
) -> tuple[dict[str, Estimate], dict[str, float | None]]:
    """Estimate of every measure; p-value of every measure, and of the best one under ``min``."""
    if tested.empty:
        generator = numpy_generator(seed, "summary", purpose)
        nothing = {name: mean_estimate(values, _cluster(tested), generator) for name, values in measures.items()}
        return nothing, dict.fromkeys([*measures, "min"])
    # In id order: the draws must not depend on the order of the table.
    order = np.argsort(tested["image_id"].to_numpy(dtype=str), kind="stable")
    cluster, looks = _cluster(tested)[order], int(tested["kind_looks"].iloc[0])
    confidence = 1 - (1 - CONFIDENCE) / looks
    sizes = {
        name: mean_estimate(values[order], cluster, numpy_generator(seed, "summary", purpose, name), confidence)
        for name, values in measures.items()
    }
    values = np.stack(list(measures.values()), axis=1)[order]
    raw = sign_flip_p_values(values, cluster, numpy_generator(seed, "summary", purpose, "p"))
    p: dict[str, float | None] = dict(zip(measures, np.minimum(raw * looks, 1).tolist(), strict=True))
    return sizes, p | {"min": float(min(raw.min() * looks, 1))}


def _counts(rows: pd.DataFrame, tested: pd.DataFrame) -> Record:
    first = rows.iloc[0]
    return {
        "tested": len(tested),
        "available": int(first["kind_available"]),
        "looks": int(first["kind_looks"]),
        "stopped": str(first["kind_stopped"]),
        "untestable": len(rows) - len(tested),
        "passes": int(rows["passes"].sum()),
    }


def _with_q(records: list[Record]) -> list[Record]:
    tested = [record for record in records if record["p"] is not None]
    q = stats.false_discovery_control([record["p"] for record in tested]) if tested else []
    found = dict(zip((id(record) for record in tested), q, strict=True))
    return [record | {"q": float(found[id(record)]) if id(record) in found else None} for record in records]
