"""Any arms on the test conditions, with intervals that respect patients and pairing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config import CompareConfig
from pipeline.randomness import numpy_generator
from pipeline.report.calibration import reliability
from pipeline.report.groups import group_table
from pipeline.report.metrics import METRICS, bootstrap, differences, measure, summaries
from pipeline.report.paired import paired_tests
from pipeline.report.predictions import ARMS, CONDITIONS, Tested, align, check
from pipeline.report.thresholds import choose_thresholds


def compare(
    predictions: pd.DataFrame,
    positive: str,
    classes: Sequence[str],
    config: CompareConfig,
    seed: int = 0,
    *,
    arms: Sequence[str] = ARMS,
    baseline: str = ARMS[0],
) -> dict[str, Any]:
    """The content of comparison.json.

    A metric's ``mean`` is its average over seeds on the images as they are; ``low`` and ``high`` are percentiles of
    that average over bootstrap samples of patients. All arms and seeds of a condition share the samples, so
    differences are paired. Undefined values (precision without a positive prediction) are null and counted.

    Args:
        predictions: one row per arm, seed, condition and image: `arm` (of `arms`), `seed`, `condition` (of
            `CONDITIONS`, or `VALIDATION`), `image_id`, `patient_id` (null: unknown, its own cluster), `label`,
            ``p_<class>``, and where known the columns of `ATTRIBUTES`.
        positive: the class that the metrics are about; AUROC is one against the rest.
        classes: all classes.
        config: number of resamples and confidence.
        seed: of the bootstrap.
        arms: all arms, in reading order.
        baseline: the arm that every other is compared with; "after" is compared with "control" as well.

    Raises:
        InputError: a column is missing, an image is counted twice, arms were tested on different images or seeds, or
            only some classifiers have validation predictions.
        EmptyResultError: no predictions of a test condition.
    """
    check(predictions, classes, positive, arms, baseline)
    thresholds = choose_thresholds(predictions, positive, classes, arms)
    conditions = {}
    for name in CONDITIONS:
        rows = predictions[predictions["condition"] == name]
        if len(rows):
            tested = align(rows, name, positive, classes, arms, thresholds.values)
            conditions[name] = _condition(tested, name, baseline, config, seed)
    return {
        "positive": positive,
        "classes": list(classes),
        "arms": [arm for arm in arms if (predictions["arm"] == arm).any()],
        "baseline": baseline,
        "seeds": sorted(int(number) for number in predictions["seed"].unique()),
        "decision": thresholds.decision,
        "thresholds": thresholds.record,
        "interval": {
            "method": "percentile bootstrap over patients, seeds averaged, paired between arms",
            "confidence": config.confidence,
            "resamples": config.bootstrap,
        },
        "conditions": conditions,
    }


def pairs(arms: Sequence[str], baseline: str) -> list[tuple[str, str]]:
    """(later, earlier) of every difference that is reported."""
    against = [(arm, baseline) for arm in arms if arm != baseline and baseline in arms]
    return [*against, *([("after", "control")] if {"after", "control"} <= set(arms) - {baseline} else [])]


def _condition(tested: Tested, name: str, baseline: str, config: CompareConfig, seed: int) -> dict[str, Any]:
    wanted = pairs(list(tested.runs), baseline)
    result: dict[str, Any] = {**tested.counts, **_measured(tested, wanted, config, seed, name)}
    result["tests"] = {
        f"{later}-{earlier}": paired_tests(tested, tested.runs[later], tested.runs[earlier])
        for later, earlier in wanted
    }
    result["calibration"] = reliability(tested, config, numpy_generator(seed, "reliability", name))
    result["groups"] = [
        {"attribute": attribute, "value": value, **part.counts}
        | (_brief(_measured(part, wanted, config, seed, f"{name} {attribute} {value}")) if large else {})
        for attribute, value, part, large in group_table(tested)
    ]
    return result


def _brief(measured: dict[str, Any]) -> dict[str, Any]:
    """Means and intervals of `METRICS` alone, of every arm and difference."""
    return {
        name: _brief(value)
        if name == "differences"
        else {metric: {key: value[metric][key] for key in ("mean", "low", "high")} for metric in METRICS}
        for name, value in measured.items()
    }


def _measured(
    tested: Tested, wanted: list[tuple[str, str]], config: CompareConfig, seed: int, purpose: str
) -> dict[str, Any]:
    """The metrics of every arm by its name, and `differences`."""
    observed = measure(tested, np.ones((1, len(tested.images))))
    generator = numpy_generator(seed, "bootstrap", purpose)
    resampled = bootstrap(lambda weights: measure(tested, weights), tested.cluster, config, generator)
    number = {arm: row for row, arm in enumerate(tested.runs)}
    found: dict[str, Any] = {
        arm: summaries(tested, arm, observed[row], resampled[row], config.confidence) for arm, row in number.items()
    }
    found["differences"] = {
        f"{later}-{earlier}": differences(
            tested,
            (observed[number[later]], observed[number[earlier]]),
            (resampled[number[later]], resampled[number[earlier]]),
            config.confidence,
        )
        for later, earlier in wanted
    }
    return found
