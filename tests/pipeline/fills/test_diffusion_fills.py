"""Fills that continue the surroundings, against surfaces they must continue exactly."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.fills import fill


def hole(size: int, low: int, high: int) -> Tensor:
    where = torch.zeros(1, 1, size, size, dtype=torch.bool)
    where[..., low:high, low:high] = True
    return where


def plane(size: int) -> Tensor:
    axis = torch.linspace(0, 1, size)
    return (0.1 + 0.5 * axis[:, None] + 0.3 * axis[None, :])[None, None].clone()


@pytest.mark.parametrize("name", ["telea", "navier-stokes"])
def test_sixteen_bits_keep_their_depth(name: str) -> None:
    images = torch.full((1, 1, 32, 32), 20001 / 65535)
    filled = fill(name)(images, hole(32, 10, 20), None)
    assert (filled * 65535 - 20001).abs().max() < 4  # eight bits would be 45 off


def test_biharmonic_continues_a_slope_exactly() -> None:
    truth, where = plane(40), hole(40, 10, 26)
    filled = fill("biharmonic")(truth.masked_fill(where, 0.0), where, None)
    torch.testing.assert_close(filled, truth, atol=1e-5, rtol=0)


def test_biharmonic_of_a_large_region_is_solved_on_a_coarser_grid_and_still_right() -> None:
    truth, where = plane(240), hole(240, 40, 200)  # 25,600 pixels: each third
    filled = fill("biharmonic")(truth, where, None)
    assert (filled - truth).abs().max() < 0.01


def test_biharmonic_solves_each_region_for_itself() -> None:
    truth = plane(60)
    where = hole(60, 5, 15) | hole(60, 40, 52)
    torch.testing.assert_close(fill("biharmonic")(truth, where, None), truth, atol=1e-5, rtol=0)
