"""Do probabilities mean what they say? Reliability by bins, and what chance alone would show."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.config import CompareConfig
from pipeline.report.metrics import BIN_SUPPORT, BINS, bootstrap, calibration_error, over_seeds
from pipeline.report.predictions import Run, Tested
from pipeline.statistics import Floats, divide, equal_mass_bins, percentile_interval, wilson_interval

DRAWS = 200
"""Sets of labels drawn for the calibration error of chance."""


def reliability(tested: Tested, config: CompareConfig, generator: np.random.Generator) -> dict[str, Any]:
    """By arm: `ece_chance` and `bins`.

    `ece_chance` (`mean`, `high`: 95th percentile) is the expected calibration error that probabilities like these would
    show on as many images were they perfectly calibrated, since bins of few images are never exact (consistency
    resampling of Broecker & Smith 2007). `bins` are equal-mass bins of all seeds' predictions: `n` predictions,
    `probability` (mean), and `positives`, the share of positives (`mean`, `low`, `high`: bootstrap over patients).
    """
    bins = min(BINS, max(1, len(tested.images) // BIN_SUPPORT))
    uniform = generator.random((DRAWS, len(tested.images)))
    return {
        arm: {"ece_chance": _chance(runs, bins, uniform), "bins": _bins(tested, runs, bins, config, generator)}
        for arm, runs in tested.runs.items()
    }


def _chance(runs: list[Run], bins: int, uniform: Floats) -> dict[str, float]:
    found = [
        calibration_error(
            (uniform < run.scores).astype(np.float64),
            run.scores,
            equal_mass_bins(run.scores, bins),
            np.ones_like(uniform),
        )
        for run in runs
    ]
    values = over_seeds(np.stack(found))
    return {"mean": float(values.mean()), "high": float(np.quantile(values, 0.95))}


def _bins(
    tested: Tested, runs: list[Run], bins: int, config: CompareConfig, generator: np.random.Generator
) -> list[dict[str, Any]]:
    scores = np.concatenate([run.scores for run in runs])
    number = equal_mass_bins(scores, bins)
    member = np.eye(int(number.max()) + 1)[number].reshape(len(runs), len(tested.images), -1).sum(axis=0)
    truth = tested.positive[:, None] * member  # (images, bins): how often a positive image fell into the bin
    shares = bootstrap(lambda weights: divide(weights @ truth, weights @ member).T, tested.cluster, config, generator)
    lines = []
    for each in range(member.shape[1]):
        share = float(truth[:, each].sum() / member[:, each].sum())
        low, high = percentile_interval(shares[each], config.confidence)
        if share in (0, 1):  # resampling cannot move it
            people = len(np.unique(tested.cluster[member[:, each] > 0]))
            low, high = wilson_interval(round(share) * people, people, config.confidence)
        lines.append(
            {
                "n": int(member[:, each].sum()),
                "probability": float(scores[number == each].mean()),
                "positives": {"mean": share, "low": low, "high": high},
            }
        )
    return lines
