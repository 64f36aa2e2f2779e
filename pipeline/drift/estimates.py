"""Whether the mean of something differs between two audits, with whole patients as what varies.

Everything that is compared is a mean over images: the share that bears a mark, or the mean rank of a score. A patient
who is in both audits moves both means, so images that did not change add nothing to the uncertainty of a difference,
and two audits with no patient in common are the ordinary case of two samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import stats

from pipeline.config import CompareConfig
from pipeline.drift.audits import Bools, Ints, Stacked
from pipeline.report.metrics import bootstrap
from pipeline.statistics import Floats, divide, percentile_interval, wilson_interval

SHIFTED: Final = "shifted"
UNSHIFTED: Final = "no shift seen"
TOO_FEW: Final = "too few to say"

FDR: Final = 0.05
"""False-discovery rate over all tests of a comparison."""
ENOUGH: Final = 10
"""Patients a side, and patients' worth of information, below which nothing is claimed."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """One mean to be compared.

    Attributes:
        about: what the row says of itself: `about`, `name`, `class` and the like.
        rows: numbers of the stacked rows it is about, (m,).
        values: of these, (m,): 0 or 1, or a rank in [0, 1].
    """

    about: Row
    rows: Ints
    values: Floats


def compare_means(
    stacked: Stacked, questions: Sequence[Question], config: CompareConfig, generator: np.random.Generator
) -> list[Row]:
    """One row a question: `then`, `now`, `new_images`, `difference`, `p` and whether there are `enough` patients.

    Intervals are percentiles over bootstrap samples of patients, shared by both audits. `p` is two-sided: the
    difference by its standard error over patients where both audits had one mean, against Student's t with as many
    degrees of freedom as the data carry (`_score_test`).
    """
    if not questions:
        return []
    drawn = bootstrap(
        lambda weights: np.stack([_means(stacked, each, weights[:, each.rows]) for each in questions]),
        stacked.cluster,
        config,
        generator,
    )
    return [_row(stacked, each, means, config.confidence) for each, means in zip(questions, drawn, strict=True)]


def judge(rows: Sequence[Row]) -> list[Row]:
    """The rows with `q`, `p` adjusted over all that could be tested (Benjamini & Hochberg 1995), and a `verdict`.

    "shifted" needs both: q <= `FDR`, and an interval of the difference that leaves out 0.
    """
    tested = [number for number, row in enumerate(rows) if row["enough"] and row["p"] is not None]
    adjusted = stats.false_discovery_control([rows[number]["p"] for number in tested]) if tested else []
    q = dict(zip(tested, map(float, adjusted), strict=True))
    return [_judged(row, q.get(number)) for number, row in enumerate(rows)]


def ranks(values: Floats) -> Floats:
    """Mid-ranks in (0, 1). Where no image is in both samples, the difference of their means is P(now > then) - 1/2."""
    return np.asarray((stats.rankdata(values) - 0.5) / len(values), dtype=np.float64)


def _judged(row: Row, q: float | None) -> Row:
    low, high = row["difference"]["low"], row["difference"]["high"]
    excluded = low is not None and (low > 0 or high < 0)
    claimed = SHIFTED if q is not None and q <= FDR and excluded else UNSHIFTED
    verdict = claimed if row["enough"] else TOO_FEW
    return {**{key: value for key, value in row.items() if key != "enough"}, "q": q, "verdict": verdict}


def _means(stacked: Stacked, question: Question, weights: Floats) -> Floats:
    """Mean then and now under every row of weights (resamples, m): (2, resamples)."""
    later, weight = stacked.later[question.rows], stacked.weight[question.rows]
    sides = np.stack([~later, later], axis=1) * weight[:, None]
    return np.stack(
        [divide(weights @ (side * question.values), weights @ side) for side in sides.T]  # one column a side
    )


def _row(stacked: Stacked, question: Question, drawn: Floats, confidence: float) -> Row:
    later, fresh = stacked.later[question.rows], stacked.fresh[question.rows]
    cluster, weight = stacked.cluster[question.rows], stacked.weight[question.rows]
    then, now, added = (_side(question.values, weight, cluster, mask) for mask in (~later, later, fresh))
    tested = _score_test(question.values, weight, later, cluster)
    known = then["mean"] is not None and now["mean"] is not None
    change = now["mean"] - then["mean"] if known else None
    low, high = percentile_interval(drawn[1] - drawn[0], confidence)
    if change is not None and low is not None and tested.unseen:
        reach = tested.reach(confidence)
        low, high = min(low, change - reach), max(high, change + reach)
    return {
        **question.about,
        "then": then | _interval(then, question.values, drawn[0], confidence),
        "now": now | _interval(now, question.values, drawn[1], confidence),
        "new_images": added,
        "difference": {"mean": change, "low": low, "high": high},
        "p": tested.p,
        "enough": min(then["patients"], now["patients"], tested.support) >= ENOUGH,
    }


def _side(values: Floats, weight: Floats, cluster: Ints, mask: Bools) -> Row:
    count = int(mask.sum())
    mean = float(np.average(values[mask], weights=weight[mask])) if count else None
    return {"mean": mean, "n": count, "patients": len(np.unique(cluster[mask]))}


def _interval(said: Row, values: Floats, means: Floats, confidence: float) -> Row:
    """A share of exactly 0 or 1 does not move under resampling: Wilson's interval over its patients stands in."""
    is_share = bool(np.isin(values, (0, 1)).all())
    if is_share and said["mean"] in (0, 1):
        low, high = wilson_interval(int(said["mean"]) * said["patients"], said["patients"], confidence)
    else:
        low, high = percentile_interval(means, confidence)
    return {"low": low, "high": high}


@dataclass(frozen=True)
class _Test:
    """Of "both audits have one mean".

    Attributes:
        p: two-sided; None where nothing varies.
        support: how many patients' worth of information it rests on.
        error: standard error of the difference.
        unseen: whether the patients who make the difference vary less than patients do, as a few who are all alike.
    """

    p: float | None
    support: float
    error: float = 0.0
    unseen: bool = False

    def reach(self, confidence: float) -> float:
        """Half the width of the interval that belongs to the test."""
        return float(stats.t.ppf((1 + confidence) / 2, _freedom(self.support)) * self.error)


def _score_test(values: Floats, weight: Floats, later: Bools, cluster: Ints) -> _Test:
    """Test "both audits have one mean", with patients as what varies.

    Every patient moves the difference of the means by the sum over its images of +-w (y - mean of all); squares of
    these sums add up to the variance (the score test, robust to images of one patient being alike: Boos, American
    Statistician 46, 1992). Unchanged images of both audits move it by next to nothing. The information is counted as
    (sum of squares)^2 / sum of fourth powers: of 1,000 images with 12 marks it is about 12.

    Where few images are new, their squares may say too little: 20 new images without a mark that a tenth of all bear
    seem to be certain of having none. The variance is therefore no smaller than if new patients varied as all do.
    """
    totals = weight[~later].sum(), weight[later].sum()
    if min(totals) == 0:
        return _Test(None, 0)
    sign = np.where(later, 1 / totals[1], -1 / totals[0])
    apart = weight * (values - np.average(values, weights=weight))
    moved: Floats = np.bincount(cluster, weights=sign * apart).astype(np.float64)
    moved[np.abs(moved) < _NOTHING / min(totals)] = 0
    squares = float((moved**2).sum())
    if squares == 0:
        return _Test(None, float("inf"))
    support = squares**2 / float((moved**4).sum())
    least = _common_variance(moved, sign * weight, weight, apart, cluster)
    error = float(np.sqrt(max(squares, least)))
    p = float(2 * stats.t.sf(abs(float(moved.sum())) / error, _freedom(support)))
    return _Test(p, support, error, least > squares)


def _common_variance(moved: Floats, pull: Floats, weight: Floats, apart: Floats, cluster: Ints) -> float:
    """Variance of the difference if the means of all patients vary alike, and each patient changes as it did."""
    mass, pulled, total = (np.bincount(cluster, weights=each).astype(np.float64) for each in (weight, pull, apart))
    mean = divide(total, mass)
    there = mass > 0
    mean, mass, pulled, moved = mean[there], mass[there], pulled[there], moved[there]
    spread = float(np.average(mean**2, weights=mass))
    return spread * float((pulled**2).sum()) + float(((moved - pulled * mean) ** 2).sum())


def _freedom(support: float) -> float:
    return max(support - 1, 1)


_NOTHING = 1e-9
"""Below this share of an image's weight a patient moved nothing: sums of floats do not cancel exactly."""
