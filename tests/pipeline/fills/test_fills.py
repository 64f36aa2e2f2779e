"""Every fill keeps the contract of `pipeline.fills`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.inpainters.bundle import SHIPPED_SHA256
from pipeline.errors import InputError
from pipeline.fills import available_fills, fill, fill_version

EVERY = pytest.mark.parametrize("name", [*available_fills(), "learned"])
PLAIN = pytest.mark.parametrize("name", available_fills())


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


@pytest.mark.parametrize("name", sorted({*available_fills(), "learned"} - {"noise"}))
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
@pytest.mark.parametrize("seed", [None, 3])
def test_result_does_not_depend_on_the_batch(name: str, seed: int | None) -> None:
    def generator() -> torch.Generator | None:
        return None if seed is None else torch.Generator().manual_seed(seed)

    images, where = ramp(batch=3), square(3)
    where[1, 0, 30:40, 0:9] = True
    together = fill(name)(images, where, generator())
    alone = torch.cat([fill(name)(images[i : i + 1], where[i : i + 1], generator()) for i in (2, 1, 0)]).flip(0)
    assert torch.equal(together, alone)


@EVERY
def test_grey_in_three_channels_stays_grey_and_colours_are_filled_each_for_itself(name: str) -> None:
    images, where = ramp(), square()
    grey = fill(name)(images.expand(-1, 3, -1, -1).contiguous(), where, None)
    assert torch.equal(grey, fill(name)(images, where, None).expand(-1, 3, -1, -1))
    colour = torch.cat([images, images * 0.5, images.flip(-1)], dim=1)
    by_channel = torch.cat([fill(name)(plane, where, None) for plane in colour.split(1, dim=1)], dim=1)
    assert torch.equal(fill(name)(colour, where, None), by_channel)


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


@PLAIN
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


def test_unknown_name_names_the_closest() -> None:
    with pytest.raises(InputError, match=r"no fill 'telae'. Did you mean 'telea'\? Allowed: biharmonic, blur, learned"):
        fill("telae")


@pytest.mark.parametrize("name", ["learned:", "torchscript", "torchscript:", "telea:x"])
def test_a_name_that_lacks_its_file_or_has_one_too_many_is_unknown(name: str) -> None:
    with pytest.raises(InputError, match="There is no fill"):
        fill(name)


def test_plain_fills_have_no_weights_and_the_learned_one_is_known_by_its_own(tmp_path: Path) -> None:
    assert fill_version("telea") is None
    assert fill_version("learned") == SHIPPED_SHA256
    (tmp_path / "a.pt").write_bytes(b"1")
    first = fill_version("torchscript:a.pt", tmp_path)
    (tmp_path / "a.pt").write_bytes(b"2")
    assert fill_version("torchscript:a.pt", tmp_path) != first
    with pytest.raises(InputError, match="which does not exist"):
        fill_version("learned:nowhere", tmp_path)
