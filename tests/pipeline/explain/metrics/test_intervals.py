from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from pipeline.errors import InputError
from pipeline.explain.metrics import paired_bootstrap


def scores(images=60, seed=0):
    """Images differ much, methods little: the second is better by 0.1 everywhere but for a little noise."""
    generator = np.random.default_rng(seed)
    base = generator.normal(0.5, 1.0, images)
    return np.stack([base, base + 0.1 + generator.normal(0, 0.02, images), base])


def test_differences_are_paired():
    values = scores()
    table = paired_bootstrap(values, 0)
    np.testing.assert_allclose(table["mean"], values.mean(axis=1))
    np.testing.assert_allclose(table["difference"], values.mean(axis=1) - values[0].mean(), atol=1e-12)
    assert table.loc[1, "difference_low"] > 0.09
    assert table.loc[1, "difference_high"] < 0.11
    assert table.loc[1, "low"] < values[0].mean() < table.loc[1, "high"]  # unpaired, nothing could be said
    assert table.loc[0, ["difference_low", "difference", "difference_high"]].tolist() == [0, 0, 0]
    assert table.loc[2, ["difference_low", "difference_high"]].tolist() == [0, 0]


def test_against_scipy():
    values = scores()
    table = paired_bootstrap(values, 0, resamples=9999)
    expected = bootstrap(
        (values[0],), np.mean, method="percentile", n_resamples=9999, random_state=np.random.default_rng(1)
    ).confidence_interval
    assert table.loc[0, ["low", "high"]].tolist() == pytest.approx(list(expected), abs=0.02)


def test_patients_are_drawn_whole():
    """Four equal images of each patient are no more evidence than one of them."""
    values, patient = np.repeat(scores(20), 4, axis=1), np.repeat(np.arange(20), 4)
    once = paired_bootstrap(scores(20), 0, resamples=500)
    clustered = paired_bootstrap(values, 0, cluster=patient, resamples=500)
    naive = paired_bootstrap(values, 0, resamples=500)
    np.testing.assert_allclose(clustered.drop(columns="images"), once.drop(columns="images"))
    assert (naive["high"] - naive["low"] < 0.7 * (clustered["high"] - clustered["low"])).all()


def test_the_seed_decides():
    assert paired_bootstrap(scores(), 1, seed=3).equals(paired_bootstrap(scores(), 1, seed=3))
    assert not paired_bootstrap(scores(), 1, seed=3).equals(paired_bootstrap(scores(), 1, seed=4))


@pytest.mark.parametrize(
    ("values", "reference", "options", "message"),
    [
        (np.zeros(5), 0, {}, r"\(methods, images\), found \(5,\)"),
        (np.zeros((2, 0)), 0, {}, r"found \(2, 0\)"),
        (np.array([[1.0, np.nan]]), 0, {}, "leave those images out for all methods"),
        (np.zeros((2, 5)), 2, {}, "2 methods, found 2"),
        (np.zeros((2, 5)), 0, {"cluster": np.zeros(4, dtype=np.int64)}, "5 images, 4 clusters"),
    ],
)
def test_bad_input_is_named(values, reference, options, message):
    with pytest.raises(InputError, match=message):
        paired_bootstrap(values, reference, **options)
