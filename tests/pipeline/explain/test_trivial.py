from __future__ import annotations

import torch

from models import ModelSpec
from pipeline.explain import create


def spec_of(height, width):
    return ModelSpec("toy", ("a", "b"), (height, width), mean=0.0, std=1.0)


def edges_of(image, constant):
    return create("edges", constant, spec_of(*image.shape[-2:])).attribute(image, 1)


def test_random_is_uniform_and_belongs_to_the_image(constant):
    images = torch.zeros(2, 1, 200, 200)
    maps = create("random", constant, spec_of(200, 200)).attribute(images, 1, image_ids=["a", "b"])
    assert not torch.equal(maps[0], maps[1])
    for saliency in maps:
        counts = torch.histc(saliency, bins=4, min=0, max=1) / saliency.numel()
        torch.testing.assert_close(counts, torch.full((4,), 0.25), atol=0.01, rtol=0)
    other_seed = create("random", constant, spec_of(200, 200), seed=1).attribute(images, 1, image_ids=["a", "b"])
    assert not torch.equal(maps, other_seed)


def test_centre_is_highest_in_the_middle_and_symmetric(constant):
    (bump,) = create("centre", constant, spec_of(21, 41)).attribute(torch.rand(1, 1, 21, 41), 1)[0]
    assert divmod(int(bump.argmax()), 41) == (10, 20)
    assert bump.max() == 1
    torch.testing.assert_close(bump, bump.flip(0))
    torch.testing.assert_close(bump, bump.flip(1))
    # a quarter of the side from the middle is one standard deviation
    one_sigma = torch.exp(torch.tensor(-0.5)).item()
    middle_of_tall = create("centre", constant, spec_of(41, 41)).attribute(torch.rand(1, 1, 41, 41), 1)[0, 0, :, 20]
    assert middle_of_tall[30] > one_sigma > middle_of_tall[31]


def test_edges_of_a_ramp_are_its_slope(constant):
    ramp = 3 * torch.arange(12.0).expand(1, 1, 10, 12)
    inside = edges_of(ramp, constant)[..., 2:-2]
    torch.testing.assert_close(inside, torch.full_like(inside, 3.0))
    inside = edges_of(ramp.transpose(2, 3), constant)[..., 2:-2, :]
    torch.testing.assert_close(inside, torch.full_like(inside, 3.0))


def test_edges_stand_at_a_step_and_nowhere_else(constant):
    step = torch.zeros(1, 1, 10, 20)
    step[..., 10:] = 1
    (found,) = edges_of(step, constant)[0]
    assert (found[:, :8] == 0).all()
    assert (found[:, 12:] == 0).all()
    assert set(found.argmax(dim=1).tolist()) <= {9, 10}
    assert (edges_of(torch.full((1, 1, 10, 20), 0.7), constant).abs() < 1e-6).all()


def test_edges_are_of_the_mean_of_the_channels(constant):
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    colour = ModelSpec("toy", ("a", "b"), (16, 16), channels=3, mean=0.0, std=1.0)
    grey = image.mean(dim=1, keepdim=True)
    torch.testing.assert_close(create("edges", constant, colour).attribute(image, 1), edges_of(grey, constant))
