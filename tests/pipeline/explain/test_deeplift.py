from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as functional
from captum.attr import DeepLift as CaptumDeepLift
from torch import nn

import models
from models import ModelSpec
from pipeline.errors import InputError
from pipeline.explain import create

TINY = ModelSpec("toy", ("a", "b"), (2, 2), mean=0.0, std=1.0)


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Score(nn.Module):
    """Logit 1 is what a function makes of the images."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, images):
        score = self.function(images).flatten(1).sum(dim=1)
        return torch.stack([torch.zeros_like(score), score], dim=1)


def explain(model, spec, images, baseline, **options):
    return create("deeplift", model, spec, baseline=baseline, **options).explain(images, 1)


def tiny(function, image, baseline, **options):
    """Map (2, 2) of the sum of `function` for a 2 x 2 image."""
    image, baseline = (torch.tensor(values).view(1, 1, 2, 2) for values in (image, baseline))
    return explain(Score(function), TINY, image, baseline[0], **options).saliency[0, 0].flatten()


def used_to_images(model, size):
    """Batch norms that know what they see: fresh ones let the signal of a deep network die out."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    with torch.no_grad():
        model.train()(randn(8, 1, size, size, seed=7))
    return model.eval()


@pytest.mark.parametrize("name", ["small", "resnet18", "densenet121", "efficientnet-b0"])
def test_shares_add_up_in_every_network_of_the_catalog(name):
    model, spec = models.build(name, classes=("a", "b"), input_size=(48, 48))
    model = used_to_images(model, 48)
    images, baseline = randn(2, 1, 48, 48), randn(1, 48, 48, seed=1)
    single = explain(model, spec, images, baseline)
    assert (single.info["delta"].abs() < 1e-6 * single.saliency.abs().sum(dim=(1, 2, 3))).all()
    double = explain(model.double(), spec, images.double(), baseline.double())
    with torch.no_grad():
        change = (model(images.double()) - model(baseline[None].double()))[:, 1]
    assert (change.abs() > 1e-3).all()
    assert (double.info["delta"].abs() < 1e-9 * change.abs()).all()
    assert ((single.saliency - double.saliency).norm() < 1e-3 * double.saliency.norm()).all()


class Scale(nn.Module):
    """Keeps two nonlinearities apart: Captum's rules for neighbours are wrong."""

    def forward(self, images):
        return images * 1.0


def test_captum_agrees_where_it_is_right(toy, toy_spec):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), Scale(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.Sigmoid()
        model = nn.Sequential(*parts, nn.Flatten(), nn.Linear(4 * 12 * 12, 2)).eval()
    for multiply in (True, False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = CaptumDeepLift(model, multiply_by_inputs=multiply).attribute(toy.image, toy.baseline, target=1)
        found = create("deeplift", model, toy_spec, multiply_by_inputs=multiply).attribute(toy.image, 1)
        torch.testing.assert_close(
            found, expected.detach() if multiply else expected.detach().abs(), atol=1e-5, rtol=1e-3
        )


def test_rescale_by_hand():
    # relu(x - 1): 3 -> 2 and 0 -> 0, so 2 in 3; never on; always on; from 2 down to off: -1
    found = tiny(lambda x: functional.relu(x - 1), [3.0, 0.5, 4.0, 0.0], [0.0, -1.0, 2.0, 2.0])
    torch.testing.assert_close(found, torch.tensor([2.0, 0.0, 2.0, -1.0]))
    slopes = tiny(
        lambda x: functional.relu(x - 1), [3.0, 0.5, 4.0, 0.0], [0.0, -1.0, 2.0, 2.0], multiply_by_inputs=False
    )
    torch.testing.assert_close(slopes, torch.tensor([2 / 3, 0.0, 1.0, 0.5]))


def test_maximum_by_hand():
    def largest(x):
        return functional.max_pool2d(x, 2)

    # the maximum rises from 2 to 5: because of the place that is 5 now, which rose by 4
    torch.testing.assert_close(
        tiny(largest, [5.0, 2.0, 0.0, 0.0], [1.0, 2.0, 0.0, 0.0]), torch.tensor([3.0, 0.0, 0.0, 0.0])
    )
    # it falls from 2 to 1: because of the place that was 2, which fell by 2
    torch.testing.assert_close(
        tiny(largest, [1.0, 0.0, 0.0, 0.0], [1.0, 2.0, 0.0, 0.0]), torch.tensor([0.0, -1.0, 0.0, 0.0])
    )


def test_overlapping_windows_and_repeated_use_count_every_time():
    spec = ModelSpec("toy", ("a", "b"), (3, 3), mean=0.0, std=1.0)
    image = torch.zeros(1, 1, 3, 3)
    image[..., 1, 1] = 2.0
    found = explain(Score(lambda x: functional.max_pool2d(x, 2, stride=1)), spec, image, torch.zeros(1, 3, 3))
    assert found.saliency[0, 0, 1, 1] == 8.0  # the largest of four windows
    assert found.saliency.sum() == 8.0


def test_product_by_hand():
    # x * sigmoid(x) as a gate, and the same as one function
    values = [3.0, -2.0, 0.5, 0.0], [0.0, 1.0, -1.0, 2.0]
    gated = tiny(lambda x: torch.sigmoid(x) * x, *values)
    torch.testing.assert_close(gated, tiny(functional.silu, *values))
    torch.testing.assert_close(
        tiny(lambda x: x * x, [3.0, 1.0, 0.0, 2.0], [1.0, 2.0, 0.0, 2.0]), torch.tensor([8.0, -3.0, 0.0, 0.0])
    )


class Reused(nn.Module):
    """One ReLU for three places, on modules, on functions and in place."""

    def __init__(self, kind):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3)
            self.head = nn.Linear(4, 2)
        self.kind = kind
        self.relu = nn.ReLU(inplace=kind == "in place")
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(3))

    def activate(self, maps, number):
        if self.kind == "separate":
            return self.relus[number](maps)
        if self.kind == "return value ignored":
            maps.relu_()
            return maps
        return {"function": functional.relu, "method": torch.Tensor.relu}.get(self.kind, self.relu)(maps)

    def forward(self, images):
        maps = self.activate(self.first(images), 0)
        maps = self.activate(self.second(maps), 1)
        return self.head(self.activate(maps.mean(dim=(2, 3)) - 0.1, 2))


@pytest.mark.parametrize("kind", ["reused", "in place", "function", "method", "return value ignored"])
def test_how_a_nonlinearity_is_written_does_not_matter(kind, toy, toy_spec):
    expected = create("deeplift", Reused("separate"), toy_spec).attribute(toy.image, 1)
    torch.testing.assert_close(create("deeplift", Reused(kind), toy_spec).attribute(toy.image, 1), expected)


def test_image_that_is_the_baseline_has_the_gradient_as_multipliers():
    image = [0.3, -1.0, 0.5, 2.0]
    found = tiny(torch.tanh, image, image, multiply_by_inputs=False)
    torch.testing.assert_close(found, 1 - torch.tanh(torch.tensor(image)) ** 2)
    assert (tiny(torch.tanh, image, image) == 0).all()


@pytest.mark.parametrize("function", [torch.exp, lambda x: x.softmax(dim=-1)[..., :1], lambda x: x.amax(dim=(2, 3))])
def test_nonlinearity_without_a_rule_is_refused(function):
    with pytest.raises(InputError, match="no rule for a nonlinear layer"):
        tiny(function, [3.0, 0.5, 4.0, 0.0], [0.0, -1.0, 2.0, 2.5])


def test_probability_is_refused(conv_square, toy_spec):
    with pytest.raises(InputError, match="deeplift explains the logit, found score='probability'"):
        create("deeplift", conv_square, toy_spec, score="probability")


def test_each_image_is_compared_with_its_own_baseline(conv_square, toy, toy_spec):
    together = create("deeplift", conv_square, toy_spec).explain(toy.image, 1)
    for index in range(3):
        alone = explain(conv_square, toy_spec, toy.image[index : index + 1], toy.baseline[index])
        torch.testing.assert_close(together.saliency[index : index + 1], alone.saliency, atol=1e-6, rtol=1e-4)
