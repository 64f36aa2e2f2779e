"""Tests of two arms on the same images: McNemar's of their decisions, DeLong's of their AUROCs.

The bootstrap intervals are what claims rest on; these are given because readers ask for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.report.metrics import or_none
from pipeline.report.predictions import Run, Tested
from pipeline.statistics import Floats, delong_test, mcnemar_test

Bools = NDArray[np.bool_]


def paired_tests(tested: Tested, later: Sequence[Run], earlier: Sequence[Run]) -> dict[str, Any]:
    """`mcnemar` and `delong`, each `by_seed` and `pooled`, both null with a `reason` where the test does not apply.

    Trainings of several seeds on the same images are no independent samples, so their counts are not added. Pooled
    means the seeds taken as one classifier, which calls what at least half of them call and whose score is their mean.
    """
    seeds = list(zip(later, earlier, strict=True))
    calls = [(now.called, then.called) for now, then in seeds]
    scores = [(now.scores, then.scores) for now, then in seeds]
    return {
        "mcnemar": _mcnemar(tested, [*calls, (_majority(later), _majority(earlier))]),
        "delong": _delong(tested, [*scores, (_mean_score(later), _mean_score(earlier))]),
    }


def _majority(runs: Sequence[Run]) -> Bools:
    return np.asarray(np.mean([run.called for run in runs], axis=0) >= 0.5)


def _mean_score(runs: Sequence[Run]) -> Floats:
    return np.asarray(np.mean([run.scores for run in runs], axis=0))


def _mcnemar(tested: Tested, calls: list[tuple[Bools, Bools]]) -> dict[str, Any]:
    """Over patients: one counts for the arm that is right on more of that patient's images, and not at all when equal.

    Where each patient has one image this is McNemar's test. Right: the positive class called exactly where it is so.
    """
    found = []
    for now, then in calls:
        gained = (now == tested.positive).astype(np.float64) - (then == tested.positive)
        net = np.bincount(tested.cluster, weights=gained)
        better, worse = int((net > 0).sum()), int((net < 0).sum())
        found.append({"later_right": better, "earlier_right": worse, "p": mcnemar_test(better, worse)})
    return {"patients": tested.counts["patients"], "by_seed": found[:-1], "pooled": found[-1]}


def _delong(tested: Tested, scores: list[tuple[Floats, Floats]]) -> dict[str, Any]:
    counts = tested.counts
    positives, negatives = counts["positives"], counts["n"] - counts["positives"]
    reason = None
    if counts["patients"] < counts["n"]:
        reason = f"{counts['n']} images of {counts['patients']} patients are not independent"
    elif min(positives, negatives) < 2:
        reason = "fewer than two images of a class"
    if reason is not None:
        return {"n": counts["n"], "by_seed": None, "pooled": None, "reason": reason}
    found = []
    for now, then in scores:
        difference, error, p = delong_test(now, then, tested.positive)
        found.append({"difference": difference, "standard_error": error, "p": or_none(p)})
    return {"n": counts["n"], "by_seed": found[:-1], "pooled": found[-1], "reason": None}
