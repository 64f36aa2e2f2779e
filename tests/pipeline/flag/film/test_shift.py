"""Traits of a cloud moved to a target; placebos move as many grey levels and leave the trait."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.flag.film.shift import MOVABLE, measured, placebos, shifted
from pipeline.flag.film.traits import measure_picture

SIZE = 192
Plane = NDArray[np.float32]


def cloud() -> Plane:
    generator = np.random.default_rng(3)
    scales = ((30, 24), (9, 8), (3, 3), (1.0, 1.5), (0.3, 0.7))
    plane = sum(weight * cv2.GaussianBlur(generator.standard_normal((SIZE, SIZE)), (0, 0), s) for weight, s in scales)
    return np.clip(0.5 + 0.12 * plane / np.std(plane), 0, 1).astype(np.float32)


def rms(change: Plane) -> float:
    return float(np.sqrt((change**2).mean()))


@pytest.mark.parametrize("trait", MOVABLE)
def test_the_value_is_the_one_in_the_table(trait: str) -> None:
    grey = np.rint(cloud() * 255).astype(np.uint8)
    assert measured(cloud(), trait) == pytest.approx(measure_picture(grey)[trait], rel=1e-6)


@pytest.mark.parametrize(
    ("trait", "target", "tolerance"),
    [
        *(("exposure", value, 0.01) for value in (0.3, 0.7)),
        *(("contrast", value, 0.02) for value in (0.2, 0.6)),
        *(("sharpness", value, 0.05) for value in (1.2, 3.0)),
        ("resolution", 0.35, 0.1),
        ("compression", 15, 5),
        *(("noise", value, 0.001) for value in (0.004, 0.03)),
    ],
)
def test_a_trait_goes_where_it_should(trait: str, target: float, tolerance: float) -> None:
    changed = shifted(cloud(), trait, target, seed=0)
    assert changed is not None
    assert measured(changed, trait) == pytest.approx(target, abs=tolerance)
    assert changed.dtype == np.float32
    assert 0 <= changed.min() <= changed.max() <= 1


def test_deblocking_takes_the_grid_of_a_jpeg_away() -> None:
    coded = shifted(cloud(), "compression", 40, seed=0)
    assert coded is not None
    changed = shifted(coded, "compression", 2, seed=0)
    assert changed is not None
    assert measured(changed, "compression") < 0.5 * measured(coded, "compression")


def test_what_cannot_be_reached_is_none() -> None:
    assert shifted(cloud(), "resolution", 1.0, seed=0) is None
    assert shifted(cloud(), "exposure", measured(cloud(), "exposure"), seed=0) is None


@pytest.mark.parametrize(
    ("trait", "target"),
    [
        ("exposure", 0.62),
        ("contrast", 0.25),
        ("sharpness", 1.4),
        ("resolution", 0.35),
        ("compression", 20),
        ("noise", 0.03),
    ],
)
def test_placebos_change_as_much_and_leave_the_trait(trait: str, target: float) -> None:
    picture = cloud()
    changed = shifted(picture, trait, target, seed=0)
    assert changed is not None
    before, after = measured(picture, trait), measured(changed, trait)
    controls = placebos(picture, changed, trait, 8, np.random.default_rng(0))
    assert len(controls) == 8
    for control in controls:
        assert rms(control - picture) == pytest.approx(rms(changed - picture), rel=0.05)
    moved = np.mean([(measured(control, trait) - before) / (after - before) for control in controls])
    assert moved < 0.25  # the same way; the other way it may go
    assert max(rms(a - b) for a in controls for b in controls) > rms(changed - picture)


def test_a_change_depends_on_its_seed_alone() -> None:
    one, two, other = (shifted(cloud(), "noise", 0.03, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_an_unmovable_trait_is_refused() -> None:
    with pytest.raises(InputError, match="exposure"):
        shifted(cloud(), "exposur", 0.5, seed=0)
