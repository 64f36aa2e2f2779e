"""The trials of a benchmark."""

from __future__ import annotations

from collections import Counter

import pytest

from pipeline.benchmark.planting import PLANTERS
from pipeline.benchmark.shortcuts.grid import CHARACTERS, FIGURES, STRONG, TRAITS, Mark, Trial, grid


def test_the_full_grid_has_enough_trials_of_every_kind():
    trials = grid(0)
    planted = [trial for trial in trials if trial.arm == "planted"]
    controls = [trial for trial in trials if trial.arm != "planted"]
    assert len(planted) >= 24
    assert len(controls) >= 24
    assert sum(trial.strength >= STRONG for trial in planted) >= 18
    assert {trial.mark.name for trial in planted} == {*CHARACTERS, *FIGURES, *TRAITS} == set(PLANTERS)
    assert {trial.strength for trial in planted} == {0.6, 0.8, 0.9, 1.0}
    assert len({trial.id for trial in trials}) == len(trials)


@pytest.mark.parametrize("seed", range(5))
def test_polarity_place_and_class_are_dealt_out_evenly(seed: int):
    planted = [trial for trial in grid(seed) if trial.arm == "planted"]
    for value in (lambda t: t.mark.polarity, lambda t: t.mark.place, lambda t: t.target):
        most, least = Counter(map(value, planted)).most_common()
        assert most[1] - least[1] <= 4
    by_mark = Counter((trial.mark.name, trial.target) for trial in planted)
    assert set(by_mark.values()) == {1}  # no kind goes with the same class twice


def test_another_seed_deals_otherwise_and_the_same_seed_alike():
    assert grid(0) == grid(0)
    assert grid(0) != grid(1)


def test_every_trial_has_a_reference_among_the_trainings_without_marks():
    trials = grid(0)
    references = {trial.replicate for trial in trials if trial.arm == "none"}
    assert {trial.replicate for trial in trials} == references


def test_chances():
    mark = Mark("word", "bright", "fixed")
    planted = Trial("planted", mark, 0.9, target=1)
    assert [planted.chance(label) for label in (0, 1)] == pytest.approx([0.1, 0.9])
    assert [planted.chance(label, swapped=True) for label in (0, 1)] == pytest.approx([0.9, 0.1])
    assert Trial("random", mark, 0.5).chance(1) == Trial("random", mark, 0.5).chance(0, swapped=True) == 0.5
    assert Trial("none").chance(0) == 0


def test_every_mark_can_be_planted():
    for trial in grid(0):
        if trial.mark:
            assert trial.mark.planter.name == trial.mark.name
