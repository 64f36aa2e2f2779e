"""Fills from grey values beside a region, against answers known by hand."""

from __future__ import annotations

import pytest
import torch

from pipeline.fills import fill


def two_regions() -> tuple[torch.Tensor, torch.Tensor]:
    """0.1 above row 20, 0.7 below, and a hole in each half."""
    images = torch.full((1, 1, 40, 40), 0.1)
    images[..., 20:] = 0.7
    where = torch.zeros(1, 1, 40, 40, dtype=torch.bool)
    where[..., 5:10, 5:10] = True
    where[..., 5:10, 30:35] = True
    return images, where


@pytest.mark.parametrize("name", ["mean", "median", "noise"])
def test_each_region_is_filled_from_its_own_ring(name: str) -> None:
    images, where = two_regions()
    filled = fill(name)(images, where, None)
    torch.testing.assert_close(filled[..., 5:10, 5:10], torch.full((1, 1, 5, 5), 0.1))
    torch.testing.assert_close(filled[..., 5:10, 30:35], torch.full((1, 1, 5, 5), 0.7))


def test_mean_and_median_differ_where_the_ring_is_skewed() -> None:
    images = torch.full((1, 1, 20, 20), 0.2)
    images[..., 6, 6:14] = 1.0  # 8 of the ring's 256 - 64 pixels
    where = torch.zeros(1, 1, 20, 20, dtype=torch.bool)
    where[..., 8:12, 8:12] = True
    ring = 12 * 12 - 4 * 4
    assert fill("median")(images, where, None)[0, 0, 9, 9].item() == pytest.approx(0.2)
    assert fill("mean")(images, where, None)[0, 0, 9, 9].item() == pytest.approx(0.2 + 0.8 * 8 / ring)


def test_noise_has_the_mean_and_deviation_of_the_ring() -> None:
    grain = torch.randn(1, 1, 120, 120, generator=torch.Generator().manual_seed(0))
    images = (0.5 + 0.05 * grain).clamp(0, 1)
    where = torch.zeros(1, 1, 120, 120, dtype=torch.bool)
    where[..., 20:100, 20:100] = True
    filled = fill("noise")(images, where, torch.Generator().manual_seed(1))[where]
    assert filled.mean().item() == pytest.approx(0.5, abs=0.005)
    assert filled.std().item() == pytest.approx(0.05, rel=0.1)


def test_noise_follows_the_generator_and_nothing_else() -> None:
    images, where = two_regions()
    images += 0.1 * torch.rand(images.shape, generator=torch.Generator().manual_seed(0))

    def painted(seed: int | None) -> torch.Tensor:
        return fill("noise")(images, where, None if seed is None else torch.Generator().manual_seed(seed))

    torch.manual_seed(5)
    first, without = painted(1), painted(None)
    torch.manual_seed(6)
    assert torch.equal(painted(1), first)
    assert torch.equal(painted(None), without)
    assert not torch.equal(painted(2), first)


def test_blur_of_one_pixel_is_the_weighted_mean_of_its_neighbours() -> None:
    images = torch.rand((1, 1, 41, 41), generator=torch.Generator().manual_seed(0))
    where = torch.zeros(1, 1, 41, 41, dtype=torch.bool)
    where[..., 20, 20] = True
    offset = torch.arange(-12, 13, dtype=torch.float64)  # four sigma of 3 pixels
    weight = torch.exp(-(offset[:, None] ** 2 + offset[None, :] ** 2) / (2 * 3.0**2))
    weight[12, 12] = 0
    expected = (weight * images[0, 0, 8:33, 8:33]).sum() / weight.sum()
    assert fill("blur")(images, where, None)[0, 0, 20, 20].item() == pytest.approx(expected.item(), abs=1e-6)
