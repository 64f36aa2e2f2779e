"""The learned fill: which bundle paints, in which windows, at which resolution."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from models import BundleCard
from models.inpainters import Inpainter, InpainterSpec, save_inpainter
from pipeline.errors import InputError
from pipeline.fills import fill
from pipeline.fills import learned as module

CARD = BundleCard("1", "inpainting", "a test", "none", "nothing", "# readme\n")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "bundle", 0.0)
    return tmp_path


def write_bundle(folder: Path, level: float) -> None:
    """An untrained inpainter: the smooth continuation of the surroundings, `level` spreads brighter."""
    network = Inpainter(InpainterSpec((4, 4, 4), (1,)))
    with torch.no_grad():
        network.level.zero_()
        network.level[0] = level
    save_inpainter(folder, network, CARD)


def scene(size: int = 160, side: int = 20) -> tuple[Tensor, Tensor]:
    """A grainy slope with a bright square in the middle, and where that is."""
    axis = torch.linspace(0.2, 0.8, size)
    grain = 0.02 * torch.randn(size, size, generator=torch.Generator().manual_seed(0))
    image = (axis[None, :] + grain).clamp(0, 1)[None, None]
    where = torch.zeros(1, 1, size, size, dtype=torch.bool)
    low = (size - side) // 2
    where[..., low : low + side, low : low + side] = True
    return image.masked_fill(where, 1.0), where


def test_a_bundle_is_found_below_the_folder_of_bundles_or_by_its_own_path(bundle: Path) -> None:
    images, where = scene()
    below = fill("learned:bundle", bundle)(images, where, None)
    assert torch.equal(fill(f"learned:{bundle / 'bundle'}")(images, where, None), below)
    assert (below[where] - 0.5).abs().max() < 0.1  # the slope's middle


def test_a_bundle_written_anew_is_loaded_anew(bundle: Path) -> None:
    images, where = scene()
    painter = fill("learned:bundle", bundle)
    before = painter(images, where, None)
    write_bundle(bundle / "bundle", 2.0)
    assert painter(images, where, None)[where].mean() > before[where].mean() + 0.01


def test_no_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not describe an inpainter"):
        fill("learned:nothing", tmp_path)


def test_what_is_far_from_a_hole_does_not_matter(bundle: Path) -> None:
    images, where = scene(320)
    painter = fill("learned:bundle", bundle)
    far = images.clone()
    far[..., :40] = 0.0
    assert torch.equal(painter(far, where, None)[where], painter(images, where, None)[where])


def test_a_hole_beyond_reach_is_painted_smaller_and_keeps_its_grain(bundle: Path) -> None:
    images, where = scene(480, 140)
    truth = torch.linspace(0.2, 0.8, 480)
    filled = fill("learned:bundle", bundle)(images, where, None)
    inside = filled[0, 0, 170:310, 170:310]
    assert (inside.mean(dim=0) - truth[170:310]).abs().max() < 0.06
    detail = inside - torch.nn.functional.avg_pool2d(inside[None, None], 9, 1, 4, count_include_pad=False)[0, 0]
    assert 0.015 < detail.std() < 0.025  # 0.02 went in
    assert torch.equal(filled[~where], images[~where])


def test_the_generator_draws_the_grain() -> None:
    images, where = scene()

    def painted(seed: int) -> Tensor:
        return fill("learned")(images, where, torch.Generator().manual_seed(seed))

    assert torch.equal(painted(1), painted(1))
    assert not torch.equal(painted(1), painted(2))


def test_batches_of_windows_give_what_single_ones_give(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On accelerators windows share batches; the CPU, made to do so, shows that nothing gets mixed up."""
    images, where = (part.repeat(3, 1, 1, 1) for part in scene())
    images = images * torch.tensor([1.0, 0.9, 0.8]).view(3, 1, 1, 1)
    where[1, :, :20, :30] = True
    painter = fill("learned:bundle", bundle)
    single = painter(images, where, None)
    monkeypatch.setattr(module, "together", lambda device: 4)
    torch.testing.assert_close(painter(images, where, None), single, atol=1e-5, rtol=0)
