"""Intervals and nulls over patients, against answers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.flag.behaviour.estimates import (
    auroc_estimate,
    auroc_null,
    mean_estimate,
    permutation_p,
    permuted_rows,
    proportion,
)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_patients_of_equal_size_swap_as_blocks() -> None:
    cluster = np.array([0, 1, 0, 2, 1, 3, 3, 3])
    rows = permuted_rows(cluster, 200, rng())
    assert (np.sort(rows, axis=1) == np.arange(8)).all()
    assert (rows[:, [5, 6, 7]] == [5, 6, 7]).all()  # the only patient with three images
    assert (rows[:, 3] == 3).all()
    blocks = {tuple(row[[0, 2, 1, 4]]) for row in rows}
    assert blocks == {(0, 2, 1, 4), (1, 4, 0, 2)}


def test_the_null_of_an_auroc_is_centred_and_its_p_value_exact() -> None:
    scores, positive = np.arange(6.0), np.array([False, False, False, True, True, True])
    null = auroc_null(scores, positive, np.arange(6), rng(), 4000)
    assert null.mean() == pytest.approx(0.5, abs=0.02)
    assert permutation_p(1.0, null) == pytest.approx(1 / 20, abs=0.015)  # one of C(6, 3) orders


def test_interval_of_a_mean_is_by_patient() -> None:
    values = np.repeat([0.0, 1.0], 50)
    wide = mean_estimate(values, np.repeat([0, 1], 50), rng())
    narrow = mean_estimate(values, np.arange(100), rng())
    assert (wide["mean"], wide["low"], wide["high"], wide["n"]) == (0.5, 0, 1, 100)
    assert 0.35 < narrow["low"] < narrow["high"] < 0.65


def test_undefined_is_null() -> None:
    assert mean_estimate(np.array([]), np.array([], dtype=int), rng())["mean"] is None
    assert proportion(0, 0) == {"mean": None, "low": 0, "high": 1, "n": 0}
    one_class = auroc_estimate(np.arange(4.0), np.ones(4, dtype=bool), np.arange(4), rng())
    assert one_class == {"mean": None, "low": None, "high": None, "n": 4}
