"""Augmentation: an image's change is its own, small, and never a mirror image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.randomness import torch_generator
from pipeline.train import augment as module
from pipeline.train.augment import augment

SIDE = 48


def _noise(count: int) -> Tensor:
    return torch.rand(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def _glyph() -> Tensor:
    """A thick F: its mirror image is another picture."""
    image = torch.zeros(1, 1, SIDE, SIDE)
    image[..., 8:40, 12:18] = 1
    image[..., 8:14, 12:36] = 1
    image[..., 22:28, 12:30] = 1
    return image


def _correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def test_a_change_depends_on_seed_epoch_and_image_not_on_the_batch() -> None:
    images = _noise(3)
    together = augment(images, ["a", "b", "c"], 0, 1)
    alone = augment(images[1:2], ["b"], 0, 1)
    assert torch.equal(together[1:2], alone)
    for other in (
        augment(images[1:2], ["x"], 0, 1),
        augment(images[1:2], ["b"], 1, 1),
        augment(images[1:2], ["b"], 0, 2),
    ):
        assert not torch.equal(other, alone)


def test_values_stay_in_range_and_the_input_is_kept() -> None:
    images = _noise(4)
    before = images.clone()
    changed = augment(images, list("abcd"), 0, 1)
    assert changed.shape == images.shape
    assert 0 <= float(changed.min()) < float(changed.max()) <= 1
    assert torch.equal(images, before)


def test_never_mirrored() -> None:
    glyph = _glyph()
    mirrored = {"left-right": glyph.flip(3), "up-down": glyph.flip(2)}
    for epoch in range(200):
        changed = augment(glyph, ["f"], 0, epoch)
        upright = _correlation(changed, glyph)
        for name, mirror in mirrored.items():
            assert upright > _correlation(changed, mirror), (name, epoch)


def test_every_matrix_keeps_the_orientation_and_the_limits() -> None:
    draws = module._draws([torch_generator(number) for number in range(500)])
    assert float(draws.min()) < -0.95 < 0.95 < float(draws.max())
    theta = module._affine(
        draws[:, 0] * module.MAX_ROTATION,
        draws[:, 1] * module.MAX_LOG_SCALE,
        draws[:, 2] * module.MAX_SHIFT,
        draws[:, 3] * module.MAX_SHIFT,
    )
    determinant = torch.linalg.det(theta[:, :, :2])
    assert float(determinant.min()) >= 1.1**-2 - 1e-6
    assert float(determinant.max()) <= 1.1**2 + 1e-6
    assert float(theta[:, :, 2].abs().max()) <= 0.1


@pytest.mark.parametrize(("column", "shift"), [(2, (0, -3)), (3, (-3, 0))])
def test_a_shift_by_hand(column: int, shift: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    draws = torch.zeros(1, 7)
    draws[:, 6] = -1  # no noise
    draws[0, column] = 3 / SIDE / module.MAX_SHIFT  # three pixels: output looks to the right or below
    monkeypatch.setattr(module, "_draws", lambda *_: draws)
    assert torch.allclose(augment(_glyph(), ["f"], 0, 1), torch.roll(_glyph(), shift, dims=(2, 3)), atol=1e-4)


def test_exposure_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_draws", lambda *_: torch.tensor([[0, 0, 0, 0, 1.0, 0.5, -1.0]]))
    changed = augment(torch.full((1, 1, 8, 8), 0.6), ["a"], 0, 1)
    assert torch.allclose(changed, torch.full((1, 1, 8, 8), 0.1 * 1.2 + 0.5 + 0.05))


def test_noise_is_white_and_bounded() -> None:
    grey = torch.full((64, 1, SIDE, SIDE), 0.5)
    deviation = augment(grey, [str(number) for number in range(64)], 0, 0)[:, :, 12:-12, 12:-12].std(dim=(1, 2, 3))
    assert float(deviation.max()) <= 1.1 * module.MAX_NOISE
    assert float(deviation.min()) < 0.3 * module.MAX_NOISE < 0.7 * module.MAX_NOISE < float(deviation.max())
