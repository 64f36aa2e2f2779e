"""A user's TorchScript network: what it is shown, what it may return."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.fills import fill


class Marking(nn.Module):
    """Known pixels as they are; under the mask their mean, or 0.5 where the sides are no multiples of 8."""

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        known = 1 - mask
        mean = (image * known).sum(dim=(1, 2, 3), keepdim=True) / (3 * known.sum(dim=(1, 2, 3), keepdim=True))
        fits = image.shape[2] % 8 == 0 and image.shape[3] % 8 == 0
        return image * known + mask * (mean if fits else 0.5 * torch.ones_like(mean))


class Leaking(nn.Module):
    """The image as it is shown, brighter by a tenth."""

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        return image + 0.1


class Cropping(nn.Module):
    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        return image[:, :, 1:]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for network in (Marking(), Leaking(), Cropping()):
        torch.jit.script(network).save(str(tmp_path / f"{type(network).__name__.lower()}.pt"))
    return tmp_path


def scene(channels: int = 1) -> tuple[Tensor, Tensor]:
    images = torch.full((2, channels, 21, 30), 0.25)
    images[1] = 0.75
    where = torch.zeros(2, 1, 21, 30, dtype=torch.bool)
    where[..., 5:9, 20:30] = True
    return images.masked_fill(where, 1.0), where


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_network_fills_and_sides_are_padded(folder: Path, channels: int) -> None:
    images, where = scene(channels)
    filled = fill("torchscript:marking.pt", folder)(images, where, None)
    torch.testing.assert_close(filled[0], torch.full((channels, 21, 30), 0.25))
    torch.testing.assert_close(filled[1], torch.full((channels, 21, 30), 0.75))


def test_it_is_shown_nothing_of_the_hole_and_changes_nothing_outside(folder: Path) -> None:
    images, where = scene()
    filled = fill("torchscript:leaking.pt", folder)(images, where, None)
    assert torch.equal(filled[~where], images[~where])
    torch.testing.assert_close(filled[where], torch.full((80,), 0.1))  # 0 was shown


def test_an_image_without_a_hole_is_left_alone(folder: Path) -> None:
    images, where = scene()
    where[1] = False
    assert torch.equal(fill("torchscript:leaking.pt", folder)(images, where, None)[1], images[1])


def test_what_is_no_torchscript_is_named(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "state.pt")
    (tmp_path / "text.pt").write_text("hello")
    for name in ("state.pt", "text.pt"):
        with pytest.raises(InputError, match=rf"{name} is not a TorchScript file. Save the network"):
            fill(f"torchscript:{name}", tmp_path)
    with pytest.raises(InputError, match=r"missing.pt cannot be read"):
        fill("torchscript:missing.pt", tmp_path)


def test_a_network_that_returns_something_else_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"returned \(1, 3, 23, 32\) for an image \(1, 3, 24, 32\)"):
        fill("torchscript:cropping.pt", folder)(*scene(), None)
