"""Probes find a trace where there is one and none where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from pipeline.benchmark.fills.probes import CROP, CROPS, LEAST, PROBES, Sight, probe_auroc

HOLE = (slice(20, 34), slice(30, 50))


def sights(count: int, *, flat: bool, seed: int) -> list[Sight]:
    """Places on grainy pictures, inside of which the grain is gone when `flat`."""
    generator = np.random.default_rng(seed)
    mask = np.zeros((64, 80), dtype=np.bool_)
    mask[HOLE] = True
    found = []
    for number in range(count):
        plane = (0.5 + 0.05 * ndimage.gaussian_filter(generator.standard_normal(mask.shape), 0.7)).astype(np.float32)
        if flat:
            plane[mask] = plane[~mask].mean()
        found.append(Sight.of(plane, mask, (slice(14, 40), slice(24, 56)), str(number)))
    return found


@pytest.mark.parametrize("probe", list(PROBES))
def test_a_fill_without_grain_is_recognised(probe: str) -> None:
    found = probe_auroc(
        PROBES[probe], sights(40, flat=True, seed=0), sights(40, flat=False, seed=1), np.arange(80), seed=0
    )
    assert found["auroc"] > 0.95
    assert (found["filled"], found["untouched"], found["patients"]) == (40, 40, 80)
    assert found["low"] <= found["auroc"] <= found["high"]


@pytest.mark.parametrize("probe", ["texture", pytest.param("network", marks=pytest.mark.slow)])
def test_untouched_places_cannot_be_told_apart(probe: str) -> None:
    found = probe_auroc(
        PROBES[probe], sights(60, flat=False, seed=0), sights(60, flat=False, seed=1), np.arange(120), seed=0
    )
    assert 0.35 < found["auroc"] < 0.65
    assert found["low"] < 0.5 < found["high"]


def test_the_network_probe_follows_its_seed_and_leaves_the_global_state_alone() -> None:
    fit, truth = sights(12, flat=True, seed=0) + sights(12, flat=False, seed=1), np.arange(24) < 12
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = PROBES["network"](fit, truth, fit[:4], 0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert (PROBES["network"](fit, truth, fit[:4], 0) == first).all()
    assert (PROBES["network"](fit, truth, fit[:4], 1) != first).any()


def test_too_few_places_give_no_result() -> None:
    few = sights(LEAST // 2 - 1, flat=False, seed=0)
    found = probe_auroc(PROBES["texture"], few, few, np.arange(2 * len(few)), seed=0)
    assert (found["auroc"], found["low"], found["high"]) == (None, None, None)


def test_crops_show_the_place_and_where_it_is() -> None:
    plane = np.linspace(0, 1, 64 * 80, dtype=np.float32).reshape(64, 80)
    mask = np.zeros(plane.shape, dtype=np.bool_)
    mask[HOLE] = True
    crops = Sight.of(plane, mask, (slice(14, 40), slice(24, 56)), "a").crops
    assert crops.shape == (CROPS, 3, CROP, CROP)
    assert (crops[:, 2].flatten(1).sum(dim=1) > 0).all()
    assert crops[0, 2].sum() == mask.sum()  # around the deepest pixel the whole of a small hole is seen
    assert crops[:, 2, CROP // 2, CROP // 2].all()  # every crop's middle is a pixel of the hole
    torch.testing.assert_close(crops[:, 0].mean(dim=(1, 2)), torch.zeros(CROPS), atol=1e-5, rtol=0)


def test_a_place_looks_the_same_wherever_it_stands() -> None:
    generator = np.random.default_rng(0)
    patch = generator.uniform(0, 1, (60, 60)).astype(np.float32)
    seen = []
    for y, x in ((0, 0), (30, 70)):
        plane, mask = np.zeros((120, 160), dtype=np.float32), np.zeros((120, 160), dtype=np.bool_)
        plane[y : y + 60, x : x + 60] = patch
        mask[y + 25 : y + 35, x + 25 : x + 40] = True
        seen.append(Sight.of(plane, mask, (slice(y + 19, y + 41), slice(x + 19, x + 46)), "a"))
    torch.testing.assert_close(seen[0].crops, seen[1].crops)
    np.testing.assert_allclose(seen[0].features, seen[1].features)
