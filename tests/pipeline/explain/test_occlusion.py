from __future__ import annotations

import pytest
import torch
from captum.attr import Occlusion
from torch import nn

from models import ModelSpec
from pipeline.errors import InputError
from pipeline.explain import create

SPEC = ModelSpec("toy", ("without", "with"), (12, 16))
OPTIONS = {"score": "logit", "baseline": "zero"}


class Linear(nn.Module):
    """Logit 1 = the weighted sum of the pixels."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.randn(12, 16, generator=torch.Generator().manual_seed(5)))

    def forward(self, images):
        total = (images[:, 0] * self.weight).sum(dim=(1, 2))
        return torch.stack([torch.zeros_like(total), total], dim=1)


@pytest.fixture
def images():
    return torch.randn(2, 1, 12, 16, generator=torch.Generator().manual_seed(6))


def test_a_linear_model_gets_the_share_of_every_pixel(images):
    model = Linear()
    found = create("occlusion", model, SPEC, window=1, **OPTIONS).attribute(images, 1)
    torch.testing.assert_close(found, images * model.weight, atol=1e-4, rtol=1e-4)


def test_overlapping_windows_are_averaged(images):
    """Window 5, step 3 on 12 x 16: the last windows start at 7 and 11, one pixel and two after those before."""
    model, lost = Linear(), torch.zeros(12, 16)
    covered = torch.zeros(12, 16)
    share = images[0, 0] * model.weight
    for top in (0, 3, 6, 7):
        for left in (0, 3, 6, 9, 11):
            window = (slice(top, top + 5), slice(left, left + 5))
            lost[window] += share[window].sum()
            covered[window] += 1
    found = create("occlusion", model, SPEC, window=5, stride=3, **OPTIONS).explain(images, 1)
    torch.testing.assert_close(found.saliency[0, 0], lost / covered, atol=1e-4, rtol=1e-4)
    assert found.forward.tolist() == [4 * 5 + 1] * 2


def test_same_as_captum(toy, toy_spec, small_cnn):
    small_cnn.eval()
    found = create("occlusion", small_cnn, toy_spec, window=4, stride=2, **OPTIONS).attribute(toy.image, 1)
    expected = Occlusion(small_cnn).attribute(toy.image, (1, 4, 4), strides=(1, 2, 2), target=1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_evidence_against_the_target_is_negative(toy, toy_spec, square_mean, inside):
    saliency = create("occlusion", square_mean, toy_spec).attribute(toy.image[:1], 0)[0, 0]
    assert saliency[inside["evidence"]].max() < 0


def test_removed_is_what_the_baseline_says(toy, toy_spec, square_mean, inside):
    """With the image itself as baseline nothing is lost."""
    saliency = create("occlusion", square_mean, toy_spec, baseline=toy.image[0]).attribute(toy.image[:1], 1)
    assert saliency.abs().max() < 1e-6


@pytest.mark.parametrize("options", [{"window": 29}, {"window": 0}, {"window": 4, "stride": 5}, {"stride": 0}])
def test_windows_that_do_not_fit_or_leave_gaps_are_refused(square_mean, toy_spec, options):
    with pytest.raises(InputError, match="1 <= stride <= window <= 28"):
        create("occlusion", square_mean, toy_spec, **options)
