"""Did cleansing plant a fingerprint: can classes be told from the filled places alone, better than before?

Every image is read at the places that cleansing changed in it; an image that was left alone is read at those of a
changed image, moved to the same relative place, since a classifier does not know where nothing was filled. A probe then
tells the positive class from the rest, once from the raw and once from the cleansed pixels of the very same places, so
that what their number, size and position say is the same on both sides and only what is *seen* there differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.cleanse.places import same_images
from pipeline.cleanse.plan import Plan
from pipeline.cleanse.probe import Plane, cleansing_probe
from pipeline.cleanse.readings import Reading, readings
from pipeline.dataset import DatasetVersion
from pipeline.randomness import derive_seed, numpy_generator
from pipeline.statistics import clusters, percentile_interval, resample_weights, weighted_auroc

Verdict = Literal["passed", "failed", "undecided"]

FOLDS = 5
RESAMPLES = 1000
CONFIDENCE = 0.95
MIN_PATIENTS = 2 * FOLDS
"""Fewer patients with readable images in the positive class, or in the rest, give no result."""
MARGIN = 0.02
"""A cleanse passes when the AUROC surely rose by no more than this."""

Estimate = dict[str, float | None]
"""``{mean, low, high}``, all null where there is too little to say."""


def check_fingerprint(
    raw: DatasetVersion,
    cleansed: DatasetVersion,
    plan: Plan,
    regions: pd.DataFrame,
    *,
    max_images: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """The check of every cleanse; the content of fingerprint.json.

    Args:
        raw: before cleansing.
        cleansed: `apply_plan` of `raw`; same rows.
        plan: what was applied.
        regions: all detected regions of `raw`.
        max_images: at most so many images are read for the classes.
        seed: draws images, places and bootstrap samples.

    Returns:
        ``trace``: what `cleansing_probe` says; ``classes``: what `class_fingerprint` says; ``verdict``: see
        `verdict_of`; ``words``: the same in sentences.

    Raises:
        InputError: the versions do not hold the same images, or `plan` is for another data set.
    """
    trace = cleansing_probe(raw, cleansed, plan, regions, seed=seed)
    classes = class_fingerprint(raw, cleansed, regions, neutral=plan.normalises, max_images=max_images, seed=seed)
    verdict = verdict_of(classes["difference"])
    return {"trace": trace, "classes": classes, "verdict": verdict, "words": _words(trace, classes, verdict)}


def class_fingerprint(
    raw: DatasetVersion,
    cleansed: DatasetVersion,
    regions: pd.DataFrame,
    *,
    neutral: bool = False,
    max_images: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """How well the positive class is told from the rest at the filled places alone, before and after cleansing.

    Features as in `Reading`. The probe, fixed beforehand, averages the probabilities of a logistic regression and of
    50 boosted trees of depth 2; scores are out of fold, folds by patient. Intervals are 95 % paired bootstraps over
    patients, without retraining.

    Args:
        raw: before cleansing.
        cleansed: what was made of `raw`; same rows.
        regions: all detected regions of `raw`; the yardstick keeps away from them.
        neutral: a neutral marker was drawn, see `changed_mask`.
        max_images: at most so many images, drawn at random without looking at their class.
        seed: draws images, places and bootstrap samples.

    Returns:
        ``before``, ``after``, ``elsewhere`` (raw pixels of places of the same shapes where nothing was found or filled:
        what sources and anatomy alone give away), ``difference`` (after - before), ``remaining`` (after - elsewhere):
        ``{mean, low, high}``, null with fewer than `MIN_PATIENTS` patients a side; ``images``, ``patients``,
        ``positive`` (images), ``changed`` (images, and of them ``changed_positive``).

    Raises:
        InputError: the versions do not hold the same images.
    """
    same_images(raw, cleansed)
    seen = readings(raw, cleansed, regions, max_images, seed, neutral=neutral)
    table = raw.images.iloc[[each.row for each in seen]]
    positive = (table["label"] == raw.meta.positive).to_numpy(dtype=bool)
    cluster = clusters(table["patient_id"], table["image_id"])
    changed = np.array([each.changed for each in seen], dtype=bool)
    return {
        **_aurocs(seen, positive, cluster, seed),
        "images": len(seen),
        "patients": len(set(cluster.tolist())),
        "positive": int(positive.sum()),
        "changed": int(changed.sum()),
        "changed_positive": int((changed & positive).sum()),
    }


def verdict_of(difference: Mapping[str, float | None]) -> Verdict:
    """``failed``: surely easier to tell than before; ``passed``: surely not, up to `MARGIN`; else ``undecided``."""
    low, high = difference["low"], difference["high"]
    if low is None or high is None:
        return "undecided"
    if low > 0:
        return "failed"
    return "passed" if high <= MARGIN else "undecided"


def _aurocs(
    seen: Sequence[Reading], positive: NDArray[np.bool_], cluster: NDArray[np.int64], seed: int
) -> dict[str, Estimate]:
    patients = [len(set(cluster[side].tolist())) for side in (positive, ~positive)]
    if min(patients) < MIN_PATIENTS:
        names = ("before", "after", "elsewhere", "difference", "remaining")
        return {name: {"mean": None, "low": None, "high": None} for name in names}
    weights = resample_weights(cluster, RESAMPLES, numpy_generator(seed, "fingerprint-bootstrap"))
    weights = np.concatenate([np.ones((1, len(positive))), weights])
    drawn = {}
    for name in ("before", "after", "elsewhere"):
        scores = _out_of_fold(np.stack([getattr(each, name) for each in seen]), positive, cluster, seed)
        drawn[name] = weighted_auroc(scores, positive, weights)
    drawn["difference"] = drawn["after"] - drawn["before"]
    drawn["remaining"] = drawn["after"] - drawn["elsewhere"]
    return {name: _estimate(values) for name, values in drawn.items()}


def _estimate(values: Plane) -> Estimate:
    """The first value is the estimate, the rest its resamples."""
    low, high = percentile_interval(values[1:], CONFIDENCE)
    return {"mean": float(values[0]), "low": low, "high": high}


def _out_of_fold(features: Plane, positive: NDArray[np.bool_], cluster: NDArray[np.int64], seed: int) -> Plane:
    scores = np.empty(len(positive))
    for fit, held_out in StratifiedGroupKFold(FOLDS).split(features, positive, cluster):
        trees = GradientBoostingClassifier(
            n_estimators=50, max_depth=2, random_state=derive_seed(seed, "fingerprint-trees") % 2**32
        )
        line = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        probe = VotingClassifier([("line", line), ("trees", trees)], voting="soft").fit(features[fit], positive[fit])
        scores[held_out] = probe.predict_proba(features[held_out])[:, 1]
    return scores


def _words(trace: Mapping[str, Any], classes: Mapping[str, Any], verdict: Verdict) -> list[str]:
    before, after, difference = classes["before"], classes["after"], classes["difference"]
    if difference["mean"] is None:
        return [
            f"Too few patients ({classes['patients']}) to say whether cleansing made the classes easier to tell "
            f"from the filled places alone; {MIN_PATIENTS} a side are needed."
        ]
    numbers = (
        f"AUROC {before['mean']:.2f} before and {after['mean']:.2f} after, difference {_number(difference, '+.3f')}, "
        f"{classes['images']} images of {classes['patients']} patients"
    )
    return [f"{_VERDICTS[verdict]} ({numbers}).", _remaining(classes), *_traced(trace)]


_VERDICTS: dict[Verdict, str] = {
    "failed": "This cleanse FAILED: from the filled places alone the classes are easier to tell than before. "
    "Fill with decoys, choose another fill or grow the filled places less",
    "passed": "From the filled places alone the classes are not easier to tell than before",
    "undecided": "It is undecided whether the classes are easier to tell from the filled places alone than before",
}


def _remaining(classes: Mapping[str, Any]) -> str:
    """What a classifier can still read there: against 0.5, and against untouched places."""
    after, elsewhere, remaining = classes["after"], classes["elsewhere"], classes["remaining"]
    read = (
        f"After cleansing they tell the classes at AUROC {_number(after, '.2f')} (0.5: not at all); "
        f"untouched places of the same shapes do at {_number(elsewhere, '.2f')}"
    )
    if remaining["low"] is not None and remaining["low"] > 0:
        return f"{read}: what was filled still tells more than the images themselves do ({_number(remaining, '+.3f')})."
    return f"{read}: no more is shown to be read from what was filled than from the images themselves."


def _traced(trace: Mapping[str, Any]) -> list[str]:
    if trace["auroc"]["mean"] is None:
        return []
    return [
        f"A filled place is told from an untouched one at AUROC {_number(trace['auroc'], '.2f')} "
        f"({trace['cleansed']} filled, {trace['untouched']} untouched); harmless only while it is equally frequent "
        "in all classes."
    ]


def _number(estimate: Estimate, form: str) -> str:
    return "{mean:{form}} ({low:{form}} to {high:{form}})".format(**estimate, form=form)
