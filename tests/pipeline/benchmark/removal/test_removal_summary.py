from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.benchmark.removal.images import tuned_errors
from pipeline.benchmark.removal.measures import MEASURES
from pipeline.benchmark.removal.request import PAIRS
from pipeline.benchmark.removal.summary import estimates, summarise, verdict

BY_KEY = {measure.key: measure for measure in MEASURES}
N = 20


def table(gain: float) -> pd.DataFrame:
    """Generative variants differ from the plain ones by `gain` in everything, on images that differ a lot."""
    rng = np.random.default_rng(0)
    level = rng.uniform(2, 9, N)
    parts = []
    for names in PAIRS:
        for number, name in enumerate(names):
            values = {m.key: level + number * gain for m in MEASURES if m.over != "auroc"}
            ids = {"image_id": [f"i{n}" for n in range(N)], "patient_id": [f"p{n // 2}" for n in range(N)]}
            scores = {"probe_own": np.zeros(N), "probe": [[1.0 + number * gain, -1.0]] * N}
            parts.append(pd.DataFrame({**ids, "explainer": name, **values, **scores}))
    return pd.concat(parts, ignore_index=True)


def test_a_difference_is_seen_through_the_spread_of_images_and_judged_by_its_claim():
    summary = summarise(table(-0.5)).set_index(["plain", "measure"])
    assert len(summary) == len(PAIRS) * len(MEASURES)
    row = summary.loc["sp", "rise_deletion"]
    assert row[["images", "patients"]].tolist() == [N, N // 2]
    assert row[["difference", "difference_low", "difference_high"]].tolist() == pytest.approx([-0.5] * 3)
    assert row["a_low"] < row["a"] - 0.3
    assert row["holds"] == "yes"
    assert summary.loc["lime", "pointing"]["holds"] == "opposite"
    assert summary.loc["mp", "probe"]["holds"] == "undecided"  # 1 and 0.5 are on one side of 0


def test_too_few_patients_decide_nothing():
    few = table(-0.5)
    assert set(summarise(few[few["patient_id"].isin([f"p{n}" for n in range(5)])])["holds"]) == {"undecided"}
    enough = summarise(few[few["patient_id"].isin([f"p{n}" for n in range(6)])])
    assert "yes" in set(enough["holds"])


def test_no_difference_is_undecided():
    assert set(summarise(table(0.0))["holds"]) == {"undecided"}


@pytest.mark.parametrize(
    ("key", "interval", "expected"),
    [
        ("rise_deletion", (-2, -1), "yes"),
        ("rise_deletion", (1, 2), "opposite"),
        ("ssim", (1, 2), "yes"),
        ("ssim", (-1, 2), "undecided"),
        ("ssim", (None, None), "undecided"),
    ],
)
def test_verdict(key, interval, expected):
    assert verdict(BY_KEY[key], *interval) == expected


def test_the_area_counts_pairs_and_weights_images():
    part = pd.DataFrame({"probe_own": [0.0, 10.0], "probe": [[1.0, -1.0], [11.0, 12.0]]})
    weights = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    assert estimates(BY_KEY["probe"], part, weights).tolist() == [5 / 8, 0.5, 1.0]


def test_the_spread_is_the_root_of_the_mean_variance():
    part = pd.DataFrame({"variance_localisation": [1.0, 7.0]})
    found = estimates(BY_KEY["variance_localisation"], part, np.array([[1.0, 1.0], [1.0, 0.0]]))
    assert found.tolist() == [2.0, 1.0]


def test_a_threshold_is_never_tuned_on_the_patient_it_is_used_for():
    errors = np.array([[0, 1], [0, 1], [1, 0], [1, 0], [1, 0]], dtype=float)
    assert tuned_errors(errors, np.array([0, 0, 1, 2, 3])).tolist() == [1, 1, 1, 1, 1]
    assert tuned_errors(errors[2:], np.array([1, 2, 3])).tolist() == [0, 0, 0]
