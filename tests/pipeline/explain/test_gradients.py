from __future__ import annotations

import pytest
import torch
from captum.attr import IntegratedGradients
from torch import nn

from models import ModelSpec
from pipeline.errors import InputError
from pipeline.explain import create

COLOUR = ModelSpec("toy", ("a", "b"), (6, 6), channels=3, mean=0.0, std=1.0)
PATHS = ("integrated-gradients", "expected-gradients")


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Linear(nn.Module):
    """Logit 1 is the sum of weight * image."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, images):
        score = (self.weight * images).sum(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(score), score], dim=1)


class HalfSquare(nn.Module):
    """Logit 1 is half the sum of squares: its derivative is the image."""

    def forward(self, images):
        score = images.square().sum(dim=(1, 2, 3)) / 2
        return torch.stack([torch.zeros_like(score), score], dim=1)


class Shifted(nn.Module):
    """The same classifier for images that are brighter by a constant."""

    def __init__(self, model, shift):
        super().__init__()
        self.model, self.shift = model, shift

    def forward(self, images):
        return self.model(images - self.shift)


@pytest.fixture
def images():
    return randn(2, 3, 6, 6)


@pytest.fixture
def linear():
    return Linear(randn(3, 6, 6, seed=1))


def test_gradient_of_a_linear_model_is_its_largest_weight(linear, images):
    maps = create("gradient", linear, COLOUR).attribute(images, 1)
    torch.testing.assert_close(maps, linear.weight.detach().abs().amax(dim=0).expand(2, 1, 6, 6))


def test_input_x_gradient_of_a_linear_model_is_exact(linear, images):
    maps = create("input-x-gradient", linear, COLOUR).attribute(images, 1)
    torch.testing.assert_close(maps, (linear.weight.detach() * images).sum(dim=1, keepdim=True))
    torch.testing.assert_close(maps.sum(dim=(1, 2, 3)), linear(images)[:, 1].detach())


@pytest.mark.parametrize("name", PATHS)
def test_path_methods_of_a_linear_model_are_exact(name, linear, images):
    reference = randn(3, 6, 6, seed=2)
    change = images - reference
    weight = linear.weight.detach()
    maps = create(name, linear, COLOUR, baseline=reference).attribute(images, 1)
    torch.testing.assert_close(maps, (weight * change).sum(dim=1, keepdim=True), atol=1e-5, rtol=1e-4)
    slopes = create(name, linear, COLOUR, baseline=reference, multiply_by_inputs=False).attribute(images, 1)
    torch.testing.assert_close(slopes, weight.abs().amax(dim=0).expand(2, 1, 6, 6), atol=1e-5, rtol=1e-4)


def test_smoothgrad_without_noise_is_the_gradient(small_cnn, toy, toy_spec):
    smooth = create("smoothgrad", small_cnn, toy_spec, samples=3, sigma=0).attribute(toy.image, 1)
    torch.testing.assert_close(smooth, create("gradient", small_cnn, toy_spec).attribute(toy.image, 1))


def test_smoothgrad_noise_is_a_share_of_the_range_of_each_image():
    spec = ModelSpec("toy", ("a", "b"), (40, 40), mean=0.0, std=1.0)
    image = torch.full((1, 1, 40, 40), 100.0)  # so large that no absolute value hides a sign
    image[..., 0] = 90.0
    images = torch.cat([image, 10 * image])
    maps = create("smoothgrad", HalfSquare(), spec, samples=25, sigma=0.2).attribute(images, 1)
    spread = (maps - images).std(dim=(1, 2, 3))  # sigma * range / sqrt(samples)
    torch.testing.assert_close(spread, torch.tensor([0.4, 4.0]), rtol=0.05, atol=0)


def test_integrated_gradients_agree_with_captum(small_cnn, toy, toy_spec):
    small_cnn.eval()
    expected = IntegratedGradients(small_cnn).attribute(
        toy.image, toy.baseline, target=1, n_steps=10, method="riemann_middle"
    )
    found = create("integrated-gradients", small_cnn, toy_spec, steps=10).attribute(toy.image, 1)
    torch.testing.assert_close(found, expected.float(), atol=1e-7, rtol=1e-4)


def test_integrated_gradients_are_complete(small_cnn, toy, toy_spec):
    found = create("integrated-gradients", small_cnn, toy_spec, steps=200).explain(toy.image, 1)
    with torch.no_grad():
        small_cnn.eval()
        change = (small_cnn(toy.image) - small_cnn(toy.baseline))[:, 1]
    torch.testing.assert_close(found.saliency.sum(dim=(1, 2, 3)), change, rtol=1e-3, atol=0)
    gap = (found.saliency.sum(dim=(1, 2, 3)) - change).abs()
    torch.testing.assert_close(found.info["completeness_gap"], gap, atol=1e-6, rtol=0)


def test_completeness_gap_shows_too_few_steps(square_mean, toy, toy_spec):
    def gap(steps):
        options = {"score": "probability", "baseline": "black", "steps": steps}
        return (
            create("integrated-gradients", square_mean, toy_spec, **options)
            .explain(toy.image, 1)
            .info["completeness_gap"]
        )

    assert (gap(1) > 0.5).all()  # all the slope of the sigmoid is in the middle
    assert (gap(50) < 1e-3).all()


def test_completeness_gap_is_about_the_shares_also_without_the_input(small_cnn, toy, toy_spec):
    gaps = [
        create("integrated-gradients", small_cnn, toy_spec, multiply_by_inputs=multiply)
        .explain(toy.image, 1)
        .info["completeness_gap"]
        for multiply in (True, False)
    ]
    assert torch.equal(*gaps)


def test_one_reference_and_many_samples_is_integrated_gradients(square_mean, toy, toy_spec):
    reference = toy.baseline[0]
    options = {"score": "probability"}
    exact = create("integrated-gradients", square_mean, toy_spec, baseline=reference, **options)
    sampled = create("expected-gradients", square_mean, toy_spec, references=reference[None], samples=2000, **options)
    expected = exact.attribute(toy.image[:1], 1)
    found = sampled.attribute(toy.image[:1], 1)
    torch.testing.assert_close(found, expected, atol=0.05 * float(expected.abs().max()), rtol=0)


def test_without_references_the_baseline_is_the_only_one(small_cnn, toy, toy_spec):
    ids = ["a", "b", "c"]
    for index in range(3):
        alone = create("expected-gradients", small_cnn, toy_spec, references=toy.baseline[index : index + 1], samples=8)
        expected = alone.attribute(toy.image[index : index + 1], 1, image_ids=ids[index : index + 1])
        found = create("expected-gradients", small_cnn, toy_spec, samples=8).attribute(toy.image, 1, image_ids=ids)
        torch.testing.assert_close(found[index : index + 1], expected, atol=1e-7, rtol=1e-4)


def test_expected_gradients_add_up_to_the_distance_from_the_mean_reference(images):
    references, model = 3 * randn(5, 3, 6, 6, seed=3), HalfSquare()
    explainer = create("expected-gradients", model, COLOUR, references=references, samples=4000)
    expected = model(5 * images)[:, 1] - model(references)[:, 1].mean()
    torch.testing.assert_close(explainer.attribute(5 * images, 1).sum(dim=(1, 2, 3)), expected, rtol=0.1, atol=0)


def test_every_reference_is_drawn_and_each_image_has_its_own_draw(linear, images):
    references = torch.zeros(4, 3, 6, 6)
    references[:, 0, 0, 0] = torch.tensor([0.0, 1.0, 10.0, 100.0])
    explainer = create("expected-gradients", linear, COLOUR, references=references, samples=400)
    maps = explainer.attribute(images[:1].repeat(2, 1, 1, 1), 1)
    same_image = maps[0]
    torch.testing.assert_close(maps[1], same_image)  # the pixels are the identity of an unnamed image
    named = explainer.attribute(images[:1].repeat(2, 1, 1, 1), 1, image_ids=["a", "b"])
    assert not torch.equal(named[0], named[1])
    weight = linear.weight[0, 0, 0].item()
    without = (linear.weight * images[0]).sum(dim=0)[0, 0].item()
    mean_reference = (without - named[:, 0, 0, 0]) / weight
    torch.testing.assert_close(mean_reference, torch.full((2,), 111 / 4), atol=7.0, rtol=0)


@pytest.mark.parametrize("name", ["gradient", "smoothgrad", *PATHS, "deeplift"])
def test_a_brighter_world_changes_nothing(name, small_cnn, toy, toy_spec):
    """Test T2 of methods.md 5.4; the blurred baseline moves with the image."""
    ids = ["a", "b", "c"]
    here = create(name, small_cnn, toy_spec).attribute(toy.image, 1, image_ids=ids)
    there = create(name, Shifted(small_cnn, 2.0), toy_spec).attribute(toy.image + 2, 1, image_ids=ids)
    assert (there - here).norm() < 1e-4 * here.norm()


@pytest.mark.parametrize("name", ["input-x-gradient", "integrated-gradients", "deeplift"])
def test_a_brighter_world_changes_maps_that_are_measured_from_zero(name, small_cnn, toy, toy_spec):
    options = {} if name == "input-x-gradient" else {"baseline": "zero"}
    here = create(name, small_cnn, toy_spec, **options).attribute(toy.image, 1)
    there = create(name, Shifted(small_cnn, 2.0), toy_spec, **options).attribute(toy.image + 2, 1)
    assert (there - here).norm() > 0.1 * here.norm()


@pytest.mark.parametrize("name", ["integrated-gradients", "expected-gradients", "deeplift"])
def test_what_equals_the_baseline_is_seen_without_the_factor_only(name, dark_square, dark_toy, toy_spec, inside):
    """The dark square decides and is exactly black, as is the baseline."""
    with_input, without = (
        create(name, dark_square, toy_spec, baseline="black", multiply_by_inputs=multiply).attribute(dark_toy.image, 1)[
            :, 0
        ]
        for multiply in (True, False)
    )
    assert (with_input[:, inside["evidence"]] == 0).all()
    assert (without[:, inside["evidence"]] > 0.01).all()
    assert (without[:, inside["decoy"]] == 0).all()


@pytest.mark.parametrize(
    ("name", "options", "forward", "backward"),
    [
        ("gradient", {}, 1, 1),
        ("input-x-gradient", {}, 1, 1),
        ("smoothgrad", {}, 50, 50),
        ("integrated-gradients", {}, 52, 50),
        ("expected-gradients", {"samples": 20}, 20, 20),
        ("deeplift", {}, 2, 1),
    ],
)
def test_cost(name, options, forward, backward, small_cnn, toy, toy_spec):
    found = create(name, small_cnn, toy_spec, **options).explain(toy.image, 1)
    assert found.forward.tolist() == [forward] * 3
    assert found.backward.tolist() == [backward] * 3


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("smoothgrad", {"samples": 0}, "samples must be 1 or more, found 0"),
        ("smoothgrad", {"sigma": -0.1}, r"sigma must be 0 or more, found -0\.1"),
        ("integrated-gradients", {"steps": 0}, "steps must be 1 or more, found 0"),
        ("expected-gradients", {"samples": 0}, "samples must be 1 or more, found 0"),
        ("expected-gradients", {"references": torch.zeros(1, 28, 28)}, r"\(n, 1, 28, 28\), found \(1, 28, 28\)"),
        ("expected-gradients", {"references": torch.zeros(0, 1, 28, 28)}, r"found \(0, 1, 28, 28\)"),
        ("expected-gradients", {"references": torch.full((1, 1, 28, 28), torch.nan)}, "NaN or infinity"),
    ],
)
def test_bad_options_are_named(name, options, message, small_cnn, toy_spec):
    with pytest.raises(InputError, match=message):
        create(name, small_cnn, toy_spec, **options)
