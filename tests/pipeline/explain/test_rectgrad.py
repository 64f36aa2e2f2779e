from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional
from captum.attr import GuidedBackprop
from torch import nn

import models
from models import ModelSpec
from pipeline.errors import InputError
from pipeline.explain import create
from pipeline.explain import rectgrad as module


class Functional(nn.Module):
    """Convolutions and ReLUs; `style` says how the ReLU is called. Its maps do not depend on that."""

    def __init__(self, style="module"):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(5)
            self.first = nn.Conv2d(1, 4, 3, padding=1)
            self.second = nn.Conv2d(4, 4, 3, padding=1)
            self.head = nn.Linear(4, 2)
        self.act = nn.ReLU(inplace=style == "in place")
        self.style = style

    def relu(self, x):
        if self.style == "function":
            return functional.relu(x)
        return x.relu_() if self.style == "method" else self.act(x)

    def forward(self, images):
        maps = self.relu(self.first(images))
        out = self.second(maps)
        out += maps
        return self.head(self.relu(out).mean(dim=(2, 3)))


@pytest.fixture
def images():
    return torch.randn(3, 1, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def spec():
    return ModelSpec("toy", ("a", "b"), (12, 12), mean=0.0, std=1.0)


def by_hand(model, image, target, percentile):
    """The same backward pass, written out layer by layer for one image."""
    first, second, head = model.first, model.second, model.head
    a1 = first(image).relu()
    a2 = (second(a1) + a1).relu()
    count = a2.shape[-1] * a2.shape[-2]

    def gate(a, r):
        ranked = (a * r).flatten().sort().values
        tau = ranked[round((len(ranked) - 1) * percentile / 100)]
        return torch.where(a * r > tau, r, 0)

    def back(conv, r):
        return functional.conv_transpose2d(r, conv.weight, padding=1)

    r2 = gate(a2, (head.weight[target] / count).view(1, -1, 1, 1).expand_as(a2))
    r1 = gate(a1, r2 + back(second, r2))
    return back(first, r1)


@pytest.mark.parametrize("percentile", [70, 90, 98])
@pytest.mark.parametrize("style", ["module", "in place", "function", "method"])
def test_equals_the_backward_pass_written_out(images, spec, style, percentile):
    model = Functional(style).eval()
    options = {"percentile": percentile, "padding_trick": False}
    for target in (0, 1):
        with torch.no_grad():
            expected = torch.cat([by_hand(model, image[None], target, percentile) for image in images])
        found = create("rectgrad-no-input", model, spec, **options).attribute(images, target)
        torch.testing.assert_close(found, expected.abs())
        original = create("rectgrad", model, spec, **options).attribute(images, target)
        torch.testing.assert_close(original, (images * expected).clamp(min=0))


def test_threshold_zero_is_guided_backpropagation(images, spec):
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2)
    ).eval()
    found = create("rectgrad-no-input", network, spec, percentile=None).attribute(images, 1)
    expected = GuidedBackprop(network).attribute(images.clone().requires_grad_(), target=1)
    assert expected.abs().max() > 0
    torch.testing.assert_close(found, expected.abs(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["rectgrad", "rectgrad-no-input"])
def test_nothing_exceeds_the_largest(images, spec, name):
    assert (create(name, Functional(), spec, percentile=100).attribute(images, 1) == 0).all()


def test_two_in_a_hundred_units_pass_each_layer(images, spec, monkeypatch):
    passed = []
    original = module._Rectify.backward

    def counting(ctx, *gradients):
        answer = original(ctx, *gradients)
        passed.append((answer[0] != 0).flatten(1).double().mean(dim=1))
        return answer

    monkeypatch.setattr(module._Rectify, "backward", staticmethod(counting))
    create("rectgrad", Functional(), spec).attribute(images, 1)
    assert len(passed) == 2  # two calls of one ReLU module
    shares = torch.stack(passed)
    assert (shares <= 0.02).all()
    assert shares[1].min() > 0.015


def test_a_silent_unit_passes_nothing_at_a_negative_threshold(spec):
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[3].weight.fill_(-1.0)  # every unit that is not silent speaks against the class
    image = torch.ones(1, 1, 12, 12)
    image[..., 0] = -1.0
    image[..., 1] = 2.0  # the lowest rank: tau = -2
    found = create("rectgrad-no-input", model, spec, percentile=0).attribute(image, 1)
    assert (found[..., 0] == 0).all()
    assert (found[..., 1] == 0).all()
    assert (found[..., 2:] == 1).all()


def test_original_is_blind_where_the_input_is_zero(images, spec):
    images[..., 3:9, 3:9] = 0.0
    maps = {name: create(name, Functional(), spec).attribute(images, 1) for name in ("rectgrad", "rectgrad-no-input")}
    assert (maps["rectgrad"][..., 3:9, 3:9] == 0).all()
    assert (maps["rectgrad-no-input"][..., 3:9, 3:9] > 0).any()


def test_padding_trick_hides_the_edge_of_every_padded_convolution(images, spec):
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2)).eval()
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].weight[:, :, 1, 1] = 1.0  # each output pixel looks at the pixel below it only
    edge = torch.ones(12, 12, dtype=torch.bool)
    edge[1:-1, 1:-1] = False
    with_trick, without = (
        create("rectgrad-no-input", model, spec, percentile=50, padding_trick=on).attribute(images, 1)[:, 0]
        for on in (True, False)
    )
    assert (with_trick[:, edge] == 0).all()
    assert (without[:, edge] > 0).any()
    torch.testing.assert_close(with_trick[:, ~edge], without[:, ~edge])


@pytest.mark.parametrize(
    ("padding", "kernel", "expected"), [(0, 3, False), ((1, 1), 3, True), ("same", 3, True), ("same", 1, False)]
)
def test_padded_convolutions_are_known(padding, kernel, expected):
    convolution = module.Convolution(torch.zeros(1, 1, 5, 5), torch.zeros(1, 1, kernel, kernel), padding=padding)
    assert module._pads(convolution) == expected
    assert module._pads(convolution._replace(padding="valid")) is False


def test_redistribution_shares_in_proportion(spec):
    model = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 2, bias=False))
    with torch.no_grad():
        model[3].weight.fill_(5.0)
    image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    small = ModelSpec("toy", ("a", "b"), (2, 2), mean=0.0, std=1.0)
    found = create("rectgrad-no-input", model, small, percentile=None, redistribute=True).attribute(image, 1)
    # x avgpool^T(R / avgpool(x)) = x (R / 2.5) / 4
    torch.testing.assert_close(found, image * 5.0 / 2.5 / 4)


@pytest.mark.parametrize("name", ["small", "resnet18", "densenet121"])
def test_networks_of_the_catalog(name):
    model, spec = models.build(name, classes=("a", "b"), input_size=(64, 64))
    image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert create("rectgrad-no-input", model, spec).attribute(spec.preprocess(image), 1).max() > 0


def test_network_without_relu_is_refused():
    model, spec = models.build("efficientnet-b0", classes=("a", "b"), input_size=(64, 64))
    with pytest.raises(InputError, match=r"ReLU networks; this one calls none \(found: silu\)"):
        create("rectgrad", model, spec).attribute(torch.zeros(1, 1, 64, 64), 1)


def test_percentile_out_of_range_is_refused(spec):
    with pytest.raises(InputError, match=r"0\.\.100, found 101"):
        create("rectgrad", Functional(), spec, percentile=101)
