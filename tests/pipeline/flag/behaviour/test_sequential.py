"""Stopping early: the plan of looks, the p-values by hand, and error rates under simulated nulls and effects."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.flag.behaviour.sequential import SequentialTest, StoppingRule, planned_looks, sign_flip_p_values

ALPHA = 0.05


def stops(values: np.ndarray, smallest: float, seed: int, patients: np.ndarray | None = None) -> dict[str, object]:
    """Feed (n, m) effects in blocks of 12; what became of the kind."""
    rule = StoppingRule(np.full(values.shape[1], smallest), ALPHA, kinds=1, permutations=1000)
    test = SequentialTest({"side": len(values)}, 24, rule, seed)
    names = np.arange(len(values)) if patients is None else patients
    for start in range(0, len(values), 12):
        if test.open("side"):
            for number in range(start, min(start + 12, len(values))):
                test.add("side", f"i{number}", f"p{names[number]}", values[number])
            test.look()
    return test.summary("side")


def confirmed(values: np.ndarray, seed: int) -> bool:
    """What a finding would say: stopped for effect, or tested to the end with p times the looks below alpha."""
    found = stops(values, 0.0, seed)
    if found["kind_stopped"] != "all tested":
        return found["kind_stopped"] == "effect"
    p = sign_flip_p_values(values, np.arange(len(values)), np.random.default_rng(seed), 1000)
    return bool(p.min() * found["kind_looks"] <= ALPHA)


def test_looks_double_and_end_at_the_last_image() -> None:
    assert planned_looks(10, 24) == (10,)
    assert planned_looks(35, 24) == (35,)
    assert planned_looks(36, 24) == (24, 36)
    assert planned_looks(200, 24) == (24, 48, 96, 200)
    assert planned_looks(1000, 24) == (24, 48, 96, 192, 384, 1000)


def test_p_values_by_hand() -> None:
    ones = np.ones((3, 1))
    found = sign_flip_p_values(ones, np.arange(3), np.random.default_rng(0), 8000)
    assert found[0] == pytest.approx(1 / 8, abs=0.02)  # only the pattern without a minus is as large
    same = sign_flip_p_values(ones, np.zeros(3, dtype=int), np.random.default_rng(0), 8000)
    assert same[0] == pytest.approx(1 / 2, abs=0.02)  # one patient: one sign
    both = sign_flip_p_values(np.hstack([ones, -ones]), np.arange(3), np.random.default_rng(0), 8000)
    assert both[0] == pytest.approx(2 / 8, abs=0.02)  # the best of two opposite measures pays for the choice
    assert both[1] == 1
    assert (sign_flip_p_values(np.zeros((5, 2)), np.arange(5), np.random.default_rng(0)) == 1).all()


def test_a_clear_effect_and_a_clear_absence_stop_at_the_first_look() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, (200, 2))
    effect, nothing = stops(noise + 0.3, 0.1, 0), stops(noise, 0.1, 0)
    assert (effect["kind_stopped"], effect["kind_tested"], effect["kind_looks"]) == ("effect", 24, 4)
    assert (nothing["kind_stopped"], nothing["kind_tested"]) == ("no effect", 24)


def test_a_borderline_kind_takes_every_image() -> None:
    found = stops(np.random.default_rng(1).normal(0.1, 0.3, (100, 1)), 0.1, 0)
    assert (found["kind_stopped"], found["kind_tested"], found["kind_available"]) == ("all tested", 100, 100)


def test_no_measure_may_still_be_open_for_no_effect() -> None:
    # The probability is saturated, its log-odds are undecided.
    values = np.stack([np.zeros(60), np.random.default_rng(2).normal(0.1, 0.5, 60)], axis=1)
    assert stops(values, 0.1, 0)["kind_stopped"] == "all tested"


def test_images_of_one_patient_count_as_one() -> None:
    values = np.full((48, 1), 0.3)
    assert stops(values, 0.1, 0)["kind_stopped"] == "effect"
    assert stops(values, 0.1, 0, patients=np.zeros(48, dtype=int))["kind_stopped"] == "all tested"


def test_a_kind_stops_whatever_the_others_do() -> None:
    test = SequentialTest({"side": 100, "date": 100}, 24, StoppingRule(np.array([0.1]), ALPHA, 2), 0)
    for number in range(24):
        test.add("side", f"i{number}", None, np.array([0.5]))
    test.look()
    assert (test.open("side"), test.open("date")) == (False, True)


def test_null_kinds_are_confirmed_no_more_often_than_alpha() -> None:
    runs = 120
    generator = np.random.default_rng(5)
    found = sum(confirmed(generator.laplace(0, 1, (100, 2)), seed) for seed in range(runs))
    assert found <= 12  # alpha expects at most 6; P(more than 12) < 0.01


@pytest.mark.slow
def test_error_rates_over_many_simulations() -> None:
    """Four heavy-tailed measures of which two mirror the others, as with two classes."""
    runs, null, power = 600, 0, 0
    generator = np.random.default_rng(6)
    for seed in range(runs):
        half = generator.standard_t(4, (200, 2))
        values = np.hstack([half, -half])
        null += confirmed(values, seed)
        power += confirmed(values + np.array([0.4, 0.4, -0.4, -0.4]), seed)
    assert null / runs <= ALPHA + 2 * np.sqrt(ALPHA * (1 - ALPHA) / runs)
    assert power / runs >= 0.95
