"""Errors of a filled hole, against answers known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.benchmark.fills.measures import errors, gmsd


def scene() -> tuple[np.ndarray, np.ndarray]:
    truth = np.random.default_rng(0).uniform(0.3, 0.7, (40, 40)).astype(np.float32)
    hole = np.zeros((40, 40), dtype=np.bool_)
    hole[10:20, 10:30] = True
    return truth, hole


def test_a_constant_error_of_ten_grey_levels() -> None:
    truth, hole = scene()
    found = errors(np.where(hole, truth + np.float32(10 / 255), truth), truth, hole)
    assert found["mae"] == pytest.approx(10, abs=1e-4)
    assert found["rmse"] == pytest.approx(10, abs=1e-4)
    assert found["psnr"] == pytest.approx(20 * math.log10(25.5), abs=1e-3)


def test_only_the_hole_counts() -> None:
    truth, hole = scene()
    assert errors(np.where(hole, truth, 0), truth, hole)["mae"] == 0


def test_nothing_wrong_is_no_infinite_psnr_and_no_perceptual_distance() -> None:
    truth, hole = scene()
    found = errors(truth, truth, hole)
    assert found == {"mae": 0.0, "rmse": 0.0, "psnr": pytest.approx(20 * math.log10(25500)), "gmsd": 0.0}


def test_a_step_looks_more_different_than_a_slow_change_of_the_same_size() -> None:
    truth = np.full((40, 40), 0.5, dtype=np.float32)
    step, slope = truth.copy(), truth.copy()
    step[:, 20:] += 0.1
    slope += 0.1 * np.linspace(0, 1, 40, dtype=np.float32)
    assert gmsd(step, truth) > 5 * gmsd(slope, truth)


def test_gmsd_of_one_edge_is_that_of_the_paper() -> None:
    """A step of 51 grey levels: Prewitt gives 51 in the two columns beside it, where similarity is c / (51^2 + c)."""
    truth = np.full((10, 10), 0.5, dtype=np.float32)
    step = truth.copy()
    step[:, 5:] += np.float32(0.2)
    similarity = np.ones((10, 10))
    similarity[:, 4:6] = 170 / (51**2 + 170)
    assert gmsd(step, truth) == pytest.approx(similarity.std(), rel=1e-4)
