"""Every fill keeps the contract of `pipeline.fills`; each also has an answer known by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.errors import InputError
from pipeline.fills import available_fills, fill

EVERY = pytest.mark.parametrize("name", available_fills())


def ramp(batch: int = 2, channels: int = 1, size: int = 48) -> Tensor:
    """Smooth images in [0.2, 0.7], each different, with a bright square at rows 10-17, columns 20-31."""
    axis = torch.linspace(0, 1, size)
    image = 0.2 + 0.3 * axis[:, None] + 0.2 * axis[None, :]
    images = image.expand(batch, channels, size, size) * torch.linspace(1, 0.9, batch)[:, None, None, None]
    images = images.clone()
    images[..., 10:18, 20:32] = 1.0
    return images


def square(batch: int = 2, size: int = 48) -> Tensor:
    """Mask of the bright square."""
    where = torch.zeros(batch, 1, size, size, dtype=torch.bool)
    where[..., 10:18, 20:32] = True
    return where


@EVERY
def test_outside_is_bit_identical_and_inputs_are_untouched(name: str) -> None:
    images, where = ramp(channels=3), square()
    before = images.clone()
    filled = fill(name)(images, where, None)
    outside = ~where.expand_as(images)
    assert torch.equal(filled[outside], images[outside])
    assert torch.equal(images, before)
    assert not torch.equal(filled, images)


@EVERY
def test_fills_with_the_surroundings(name: str) -> None:
    images, where = ramp(), square()
    truth = 0.2 + 0.3 * torch.linspace(0, 1, 48)[:, None] + 0.2 * torch.linspace(0, 1, 48)[None, :]
    error = (fill(name)(images, where, None)[0, 0] - truth)[where[0, 0]].abs()
    assert error.max() < 0.06


@EVERY
def test_nothing_under_the_mask_is_read(name: str) -> None:
    images, where = ramp(), square()
    other = torch.where(where, torch.rand(images.shape, generator=torch.Generator().manual_seed(1)), images)
    assert torch.equal(fill(name)(images, where, None), fill(name)(other, where, None))


@EVERY
def test_result_does_not_depend_on_the_batch(name: str) -> None:
    images, where = ramp(batch=3), square(3)
    where[1, 0, 30:40, 0:9] = True
    together = fill(name)(images, where, None)
    alone = torch.cat([fill(name)(images[i : i + 1], where[i : i + 1], None) for i in (2, 1, 0)]).flip(0)
    assert torch.equal(together, alone)


@EVERY
def test_empty_mask_changes_nothing(name: str) -> None:
    images, where = ramp(), torch.zeros_like(square())
    assert torch.equal(fill(name)(images, where, None), images)


@EVERY
def test_full_mask_is_refused(name: str) -> None:
    where = square()
    where[1] = True
    with pytest.raises(ValueError, match=r"covers all of image 1 of the batch"):
        fill(name)(ramp(), where, None)


@EVERY
def test_a_single_known_pixel_fills_everything(name: str) -> None:
    images, where = ramp(1), torch.ones_like(square(1))
    images[..., 47, 47], where[..., 47, 47] = 0.25, False
    filled = fill(name)(images, where, None)
    assert filled.min() > 0.24
    assert filled.max() < 0.26


@EVERY
def test_mask_of_the_wrong_shape_or_type_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=r"need `where` \(2, 1, 48, 48\) bool, found \(2, 48, 48\) torch.bool"):
        fill(name)(ramp(), square()[:, 0], None)
    with pytest.raises(ValueError, match=r"found \(2, 1, 48, 48\) torch.uint8"):
        fill(name)(ramp(), square().to(torch.uint8), None)


def test_median_is_the_median_of_each_regions_own_ring() -> None:
    images = torch.full((1, 1, 40, 40), 0.1)
    images[..., 20:] = 0.7
    where = torch.zeros(1, 1, 40, 40, dtype=torch.bool)
    where[..., 5:10, 5:10] = True
    where[..., 5:10, 30:35] = True
    filled = fill("median")(images, where, None)
    assert torch.allclose(filled[..., 5:10, 5:10], torch.tensor(0.1))
    assert torch.allclose(filled[..., 5:10, 30:35], torch.tensor(0.7))


def test_blur_of_one_pixel_is_the_weighted_mean_of_its_neighbours() -> None:
    images = torch.rand((1, 1, 41, 41), generator=torch.Generator().manual_seed(0))
    where = torch.zeros(1, 1, 41, 41, dtype=torch.bool)
    where[..., 20, 20] = True
    offset = torch.arange(-12, 13, dtype=torch.float64)  # four sigma of 3 pixels
    weight = torch.exp(-(offset[:, None] ** 2 + offset[None, :] ** 2) / (2 * 3.0**2))
    weight[12, 12] = 0
    expected = (weight * images[0, 0, 8:33, 8:33]).sum() / weight.sum()
    assert fill("blur")(images, where, None)[0, 0, 20, 20].item() == pytest.approx(expected.item(), abs=1e-6)


def test_telea_keeps_sixteen_bit_depth() -> None:
    images = torch.full((1, 1, 32, 32), 20001 / 65535)
    where = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    where[..., 10:20, 10:20] = True
    filled = fill("telea")(images, where, None)
    assert (filled * 65535 - 20001).abs().max() < 4  # eight bits would be 45 off


def test_unknown_name_names_the_closest() -> None:
    with pytest.raises(InputError, match=r"no fill 'telae'. Did you mean 'telea'\? Allowed: blur, median, telea"):
        fill("telae")
