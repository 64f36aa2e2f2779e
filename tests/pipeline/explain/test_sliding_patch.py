from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.transform import resize
from torch import nn

from models import ModelSpec
from pipeline.errors import InputError
from pipeline.explain import create
from pipeline.fills import available_fills
from tests.toys import SquareMean


def identity(images, keep):
    return images


def grey(images, keep):
    return torch.zeros_like(images)


def drops(model, image, patch, stride, target):
    """The K x K losses of probability, one patch after the other."""
    score = lambda shown: torch.softmax(model(shown), dim=1)[0, target].item()  # noqa: E731
    steps = (image.shape[-1] - patch) // stride + 1
    table = torch.zeros(steps, steps)
    for row in range(steps):
        for column in range(steps):
            shown = image[None].clone()
            shown[..., row * stride : row * stride + patch, column * stride : column * stride + patch] = 0
            table[row, column] = score(image[None]) - score(shown)
    return table


@pytest.mark.parametrize(("patch", "stride"), [(5, 2), (7, 3), (28, 1), (1, 9)])
def test_values_stand_at_the_centres_of_the_patches(square_mean, toy, toy_spec, patch, stride):
    found = create("sp", square_mean, toy_spec, patch=patch, stride=stride).explain(toy.image, 1)
    for image, saliency in zip(toy.image, found.saliency[:, 0], strict=True):
        table = drops(square_mean, image, patch, stride, 1)
        centres = torch.arange(len(table)) * stride + patch // 2
        if patch % 2:
            torch.testing.assert_close(saliency[centres][:, centres], table, atol=1e-6, rtol=1e-5)
        else:  # one patch, the whole image
            torch.testing.assert_close(saliency, table.expand(28, 28))
    assert found.forward.tolist() == [table.numel() + 1] * 3
    assert found.backward.tolist() == [0] * 3


def test_between_centres_it_is_linear_and_beyond_constant(toy_spec, square_mean, toy):
    saliency = create("sp", square_mean, toy_spec, patch=5, stride=4).attribute(toy.image, 1)
    torch.testing.assert_close(saliency[..., 8], (saliency[..., 6] + saliency[..., 10]) / 2)
    torch.testing.assert_close(saliency[..., 3, :], 0.75 * saliency[..., 2, :] + 0.25 * saliency[..., 6, :])
    for edge in range(2):
        torch.testing.assert_close(saliency[..., edge], saliency[..., 2])
        torch.testing.assert_close(saliency[..., 27 - edge, :], saliency[..., 22, :])


def test_stretched_like_the_authors(square_mean, toy, toy_spec):
    saliency = create("sp", square_mean, toy_spec, patch=5, stride=2, stretch=True).attribute(toy.image[:1], 1)
    table = drops(square_mean, toy.image[0], 5, 2, 1).numpy()
    expected = resize(table, (28, 28), order=1, mode="edge", anti_aliasing=False)
    np.testing.assert_allclose(saliency[0, 0].numpy(), expected, atol=1e-6)


class Corner(nn.Module):
    """p(1) grows with one pixel, 4 pixels from two borders."""

    def forward(self, images):
        return torch.stack([torch.zeros(len(images)), images[:, 0, 4, 4]], dim=1)


def test_a_mark_near_the_border_stays_in_its_place(toy_spec):
    image = torch.ones(1, 1, 28, 28)
    centre = {}
    for stretch in (False, True):
        saliency = create("sp", Corner(), toy_spec, patch=9, stride=1, stretch=stretch).attribute(image, 1)[0, 0]
        mass = saliency.clamp_min(0).sum(dim=1)
        centre[stretch] = float((mass * torch.arange(28)).sum() / mass.sum())
    assert abs(centre[False] - 4) < 0.5
    assert abs(centre[True] - 4) > 0.9


def test_filling_with_what_was_there_changes_nothing(square_mean, toy, toy_spec):
    assert (create("sp-g", square_mean, toy_spec, fill=identity).attribute(toy.image, 1) == 0).all()


def test_the_fill_is_the_only_difference(small_cnn, toy, toy_spec):
    options = {"patch": 6, "stride": 3}
    plain = create("sp", small_cnn, toy_spec, **options).attribute(toy.image, 1)
    painted = create("sp-g", small_cnn, toy_spec, **options).attribute(toy.image, 1)
    for fill in ("zero", grey):
        assert torch.equal(create("sp-g", small_cnn, toy_spec, fill=fill, **options).attribute(toy.image, 1), plain)
    assert torch.equal(create("sp", small_cnn, toy_spec, fill="telea", **options).attribute(toy.image, 1), painted)
    assert not torch.equal(plain, painted)


@pytest.mark.parametrize("fill", available_fills())
def test_plausible_fills_find_the_evidence(fill, square_mean, toy, toy_spec, inside):
    """Patches larger than the square: only then is there none of it left beside the hole to paint it back from."""
    for saliency in create("sp-g", square_mean, toy_spec, fill=fill, patch=9, stride=1).attribute(toy.image, 1)[:, 0]:
        assert inside["evidence"].flatten()[saliency.argmax()]
        assert saliency[inside["evidence"]].mean() > 3 * saliency[inside["decoy"]].mean()


def test_defaults_are_those_of_the_paper_at_its_size():
    spec = ModelSpec("toy", ("a", "b"), (224, 224))
    found = create("sp", SquareMean().eval(), spec, batch_size=100).explain(torch.zeros(1, 1, 224, 224), 1)
    assert found.forward.item() == 66**2 + 1


def test_sizes_follow_the_shorter_side(small_cnn):
    spec = ModelSpec("toy", ("a", "b"), (32, 48))
    found = create("sp", small_cnn, spec).explain(torch.zeros(1, 1, 32, 48), 1)
    assert found.saliency.shape == (1, 1, 32, 48)
    assert found.forward.item() == 29 * 45 + 1  # patch 4, stride 1


@pytest.mark.parametrize("options", [{"patch": 29}, {"patch": 0}, {"stride": 0}])
def test_a_patch_that_does_not_fit_is_named(small_cnn, toy_spec, options):
    with pytest.raises(InputError, match="the patch is 1 to 28, the stride at least 1"):
        create("sp", small_cnn, toy_spec, **options)
