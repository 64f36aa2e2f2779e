"""Each loss is 0 for the truth and notices what it is there for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.inpainters import Ground
from pipeline.train.inpainter_losses import (
    Judge,
    composite,
    judge_loss,
    matching_loss,
    structure_loss,
    texture_loss,
)


@pytest.fixture
def scene() -> tuple[Tensor, Tensor]:
    truth = 0.5 + 0.05 * torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros_like(truth, dtype=torch.bool)
    hole[..., 20:44, 20:44] = True
    return truth, hole


def other_grain(truth: Tensor, hole: Tensor, factor: float) -> Tensor:
    grain = torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    return torch.where(hole, 0.5 + 0.05 * factor * grain, truth)


def test_structure_is_the_error_of_coarse_means(scene: tuple[Tensor, Tensor]) -> None:
    truth, hole = scene
    ground = Ground.around(truth, hole)
    assert structure_loss(truth, truth, hole, ground) == 0
    flat = Ground(truth, truth, torch.full_like(truth, 0.1))
    assert float(structure_loss(truth + 0.2, truth, hole, flat)) == pytest.approx(2, rel=1e-5)
    checkered = truth + 0.2 * (torch.arange(64) % 2 * 2 - 1)
    assert float(structure_loss(checkered, truth, hole, flat)) == pytest.approx(0, abs=1e-5)
    assert structure_loss(torch.where(hole, truth, 0), truth, hole, flat) == 0


def test_texture_wants_the_strength_of_the_grain_and_not_its_pixels(scene: tuple[Tensor, Tensor]) -> None:
    truth, hole = scene
    assert texture_loss(truth, truth, hole) == 0
    alike, weak, none = (float(texture_loss(other_grain(truth, hole, factor), truth, hole)) for factor in (1, 0.5, 0))
    assert alike < 0.1
    assert 3 * alike < weak < none


def test_the_judge_is_asked_about_patches_that_touch_the_hole(scene: tuple[Tensor, Tensor]) -> None:
    truth, hole = scene
    judge = Judge(seed=0).eval()
    verdict, features = judge(truth, hole, Ground.around(truth, hole))
    small, _ = judge(truth, torch.zeros_like(hole).index_fill_(3, torch.tensor([30]), True), Ground.around(truth, hole))
    assert 0 < len(verdict) < 2 * 14 * 14
    assert len(small) < len(verdict)
    assert [each.shape for each in features] == [(2, 24), (2, 48), (2, 96)]
    assert matching_loss(features, features) == 0


def test_the_judge_learns_to_tell_a_smooth_filling_from_grain(scene: tuple[Tensor, Tensor]) -> None:
    truth, hole = scene
    ground, judge = Ground.around(truth, hole), Judge(8, seed=0)
    smooth = other_grain(truth, hole, 0)
    optimizer = torch.optim.Adam(judge.parameters(), 5e-3)
    for _ in range(40):
        loss = judge_loss(judge(truth, hole, ground)[0], judge(smooth, hole, ground)[0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.6  # 2 at the start


def test_hinge_known_values() -> None:
    assert float(judge_loss(torch.tensor([2.0, 0.0]), torch.tensor([-3.0, 0.0]))) == 1


def test_a_composite_has_the_grey_levels_of_the_store_and_lets_gradients_through(scene: tuple[Tensor, Tensor]) -> None:
    truth, hole = scene
    painted = torch.full_like(truth, 0.3333, requires_grad=True)
    made = composite(painted, truth, hole, 255)
    assert torch.equal(made[~hole], truth[~hole])
    assert torch.allclose(made[hole], torch.tensor(85 / 255))
    made.sum().backward()
    assert torch.equal(painted.grad, hole.float())
