"""Which repair gives back the most where a shortcut does not help, and which repairs cannot be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config import CompareConfig
from pipeline.errors import EmptyResultError
from pipeline.randomness import numpy_generator
from pipeline.report.metrics import bootstrap, summary
from pipeline.report.predictions import align, check
from pipeline.report.verdict import CONDITION_NAMES, change, direction
from pipeline.statistics import Floats, weighted_auroc

DECIDING = ("marker_swapped", "other_source")
"""Test conditions on which a shortcut misleads or does not exist; the mean over those at hand ranks."""


def rank(
    predictions: pd.DataFrame,
    positive: str,
    classes: Sequence[str],
    config: CompareConfig,
    seed: int = 0,
    *,
    arms: Sequence[str],
    baseline: str,
    controls: Sequence[str] = (),
) -> dict[str, Any]:
    """Arms in the order of what they give back: the mean over `DECIDING` of AUROC minus the baseline's.

    Intervals are percentiles over bootstrap samples of patients and of seeds (trainings), the same samples for all
    arms, so every difference is paired. Patients are drawn for each condition, seeds for all at once. Where the
    interval of the difference to the next arm holds 0, the two are indistinguishable: their order says nothing.

    Args:
        predictions: as `pipeline.report.compare` takes them.
        positive: the class whose AUROC, one against the rest, counts.
        classes: all classes.
        config: number of resamples and confidence.
        seed: of the bootstrap.
        arms: all arms, in reading order.
        baseline: the arm that the others are compared with.
        controls: arms that are no repairs; ranked among the others and marked.

    Returns:
        `baseline`, `conditions` (those that decide), `seeds` (how many), `interval`, and `ranking`, best first: `rank`,
        `repair`, `is_control`, `gain` (mean, low, high, undefined_resamples), `helps` (yes, unclear, harms: where
        the interval lies), `by_condition` (gain on each), `by_seed` (gain of each seed), `to_next` and `to_best` (this
        arm's gain minus that of the next arm and of the best repair; null where that is itself or none),
        `tied_with_next` and `tied_with_best`.

    Raises:
        InputError: the predictions cannot be compared, see `pipeline.report.compare`.
        EmptyResultError: no predictions of a deciding condition.
    """
    check(predictions, classes, positive, arms, baseline)
    conditions = [name for name in DECIDING if (predictions["condition"] == name).any()]
    if not conditions:
        raise EmptyResultError(f"There are no predictions of {' or '.join(DECIDING)}: nothing to rank repairs by.")
    found = [
        _gains(predictions[predictions["condition"] == name], name, positive, classes, config, seed, arms, baseline)
        for name in conditions
    ]
    parts = {name: _over_seeds(each, config, seed) for name, each in zip(conditions, found, strict=True)}
    mean = _over_seeds(np.mean(found, axis=0), config, seed)
    by_seed = np.mean(found, axis=0)[:, :, 0]
    here = [arm for arm in arms if (predictions["arm"] == arm).any()]
    row = {arm: position for position, arm in enumerate(here)}
    order = sorted((arm for arm in here if arm != baseline), key=lambda arm: (-mean[row[arm], 0], row[arm]))
    best = next((arm for arm in order if arm not in controls), None)

    def said(values: Floats) -> dict[str, Any]:
        return summary(float(values[0]), values[1:], config.confidence)

    def compared(arm: str, place: int) -> dict[str, Any]:
        others = {"next": order[place] if place < len(order) else None, "best": best}
        to = {
            name: None if other in (None, arm) else said(mean[row[arm]] - mean[row[str(other)]])
            for name, other in others.items()
        }
        tied = {name: value is not None and not direction(value) for name, value in to.items()}
        return {f"to_{name}": to[name] for name in to} | {f"tied_with_{name}": tied[name] for name in to}

    lines = [
        {
            "rank": place,
            "repair": arm,
            "is_control": arm in controls,
            "gain": (gain := said(mean[row[arm]])),
            "helps": _HELPS[direction(gain)],
            "by_condition": {name: said(part[row[arm]]) for name, part in parts.items()},
            "by_seed": by_seed[row[arm]].tolist(),
            **compared(arm, place),
        }
        for place, arm in enumerate(order, start=1)
    ]
    return {
        "baseline": baseline,
        "conditions": conditions,
        "seeds": by_seed.shape[1],
        "interval": {
            "method": "percentile bootstrap over patients and over seeds, paired between arms",
            "confidence": config.confidence,
            "resamples": config.bootstrap,
        },
        "ranking": lines,
    }


_HELPS = {1: "yes", 0: "unclear", -1: "harms"}


def _gains(
    table: pd.DataFrame,
    condition: str,
    positive: str,
    classes: Sequence[str],
    config: CompareConfig,
    seed: int,
    arms: Sequence[str],
    baseline: str,
) -> Floats:
    """AUROC minus the baseline's, (arms, seeds, 1 + resamples); first on the images as they are."""
    tested = align(table, condition, positive, classes, arms, {})

    def aurocs(weights: Floats) -> Floats:
        return np.stack(
            [
                np.stack([weighted_auroc(run.scores, tested.positive, weights) for run in runs])
                for runs in tested.runs.values()
            ]
        )

    generator = numpy_generator(seed, "rank", condition)
    observed = aurocs(np.ones((1, len(tested.images))))
    values = np.concatenate([observed, bootstrap(aurocs, tested.cluster, config, generator)], axis=2)
    difference: Floats = values - values[list(tested.runs).index(baseline)]
    return difference


def _over_seeds(gains: Floats, config: CompareConfig, seed: int) -> Floats:
    """Mean over seeds, (arms, 1 + resamples): of all of them first, then of as many drawn with replacement."""
    count = gains.shape[1]
    drawn = numpy_generator(seed, "rank seeds").multinomial(count, np.full(count, 1 / count), size=config.bootstrap)
    weights = np.concatenate([np.ones((1, count)), drawn]).T / count
    return np.asarray(np.einsum("asr,sr->ar", gains, weights))


def ranking_words(found: Mapping[str, Any]) -> list[str]:
    """The ranking in sentences, for screen and page."""
    tests = " and ".join(CONDITION_NAMES[name] for name in found["conditions"])
    lines = [line for line in found["ranking"] if not line["is_control"]]
    if not lines:
        return ["There was no repair to rank."]
    sentences = [f"{_gain(lines[0])} of AUROC on {tests}, the mean over them: the most of all repairs."]
    groups = {
        "Indistinguishable from it": [line for line in lines if line["tied_with_best"]],
        "Harmful": [line for line in lines if line["helps"] == "harms"],
        f"Neither better nor worse than {found['baseline']} for certain": [
            line for line in lines if line["helps"] == "unclear"
        ],
    }
    sentences += [
        f"{title}: {', '.join(line['repair'] for line in members)}." for title, members in groups.items() if members
    ]
    sentences += [f"{_gain(line)}, {_CONTROL[line['helps']]}." for line in found["ranking"] if line["is_control"]]
    missing = [CONDITION_NAMES[name] for name in DECIDING if name not in found["conditions"]]
    if missing:
        sentences.append(f"There are no {' and no '.join(missing)}: half of what should decide is missing.")
    return sentences


_CONTROL = {
    "yes": "though it is no repair: part of what filling gives back is not due to the marks it removes",
    "unclear": "as is right for a control",
    "harms": "as is right for a control: filling elsewhere gives nothing back",
}


def _gain(line: Mapping[str, Any]) -> str:
    return f"{line['repair']} gives back {change(line['gain'])}"
