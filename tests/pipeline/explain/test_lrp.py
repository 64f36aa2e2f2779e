from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import models
from models import ModelSpec
from pipeline.errors import InputError
from pipeline.explain import create
from pipeline.explain.lrp_rules import COMPOSITES

SIDE = 12


@pytest.fixture
def spec():
    """Network input in [-2, 2]: both signs and 0 occur."""
    return ModelSpec("toy", ("a", "b"), (SIDE, SIDE))


@pytest.fixture
def images(spec):
    return spec.normalise(torch.rand(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)))


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return make().eval()


def cnn(*, bias=True):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=bias),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, stride=2, bias=bias),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24, 5, bias=bias),
        nn.ReLU(),
        nn.Linear(5, 2, bias=bias),
    )


def mlp():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(SIDE * SIDE, 20), nn.ReLU(), nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 2)
    )


class WithNorms(nn.Module):
    """Convolutions whose norms can be merged, one behind a concatenation, which cannot, and a residual sum."""

    def __init__(self, *, bias=True):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 4, 3, padding=1, bias=bias), nn.BatchNorm2d(4)
        self.conv2, self.norm2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.norm3, self.conv3 = nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1, bias=bias)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 2, bias=bias)
        for norm in (self.norm1, self.norm2, self.norm3):
            norm.running_var.uniform_(0.5, 2.0)
            norm.weight.data.uniform_(0.5, 1.5)
            if bias:
                norm.running_mean.normal_(std=0.3)
                norm.bias.data.normal_(std=0.3)

    def forward(self, images):
        x = self.act(self.norm1(self.conv1(images)))
        y = self.norm2(self.conv2(x))
        y += x
        y = self.act(y)
        z = self.act(self.norm3(torch.cat([x, y], dim=1)))
        return self.head(self.act(self.conv3(z)).mean(dim=(2, 3)))


def merged(model):
    """The same network with its first two norms merged into their convolutions."""
    twin = copy.deepcopy(model)
    for number in ("1", "2"):
        conv, norm = getattr(twin, f"conv{number}"), getattr(twin, f"norm{number}")
        scale = norm.weight.data / (norm.running_var + norm.eps).sqrt()
        old = 0.0 if conv.bias is None else conv.bias.data
        conv.weight.data *= scale.view(-1, 1, 1, 1)
        conv.bias = nn.Parameter((old - norm.running_mean) * scale + norm.bias.data)
        setattr(twin, f"norm{number}", nn.Identity())
    return twin


def signed_lrp(model, spec, images, target=1, **options):
    return create("lrp", model, spec, **options).attribute(images, target)


@pytest.mark.parametrize("make", [mlp, cnn, WithNorms])
def test_epsilon_is_gradient_times_input_in_the_limit(make, images, spec):
    model = seeded(make)
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)
    distances = [
        float((signed_lrp(model, spec, images, epsilon=eps) - images * gradient).norm() / (images * gradient).norm())
        for eps in (1e-1, 1e-3, 1e-9)
    ]
    assert distances[0] > distances[1] > distances[2]
    assert distances[2] < 1e-5
    multiplier = create("lrp-no-input", model, spec, epsilon=1e-7).attribute(images, 1)
    torch.testing.assert_close(multiplier, gradient.abs(), atol=1e-6, rtol=1e-4)


def test_epsilon_rule_written_out(images, spec):
    """R_i = x_i sum_j w_ij R_j / (z_j + epsilon sign z_j), biases in z, layer by layer."""
    epsilon = 0.05
    model = seeded(mlp)
    _, first, _, second, _, last = model
    x = images.flatten(1)
    z1 = first(x)
    z2 = second(z1.relu())
    ratio = [z.relu() / (z + epsilon * torch.where(z >= 0, 1.0, -1.0)) for z in (z1, z2)]
    expected = x * (((last.weight[1] * ratio[1]) @ second.weight * ratio[0]) @ first.weight)
    found = signed_lrp(model, spec, images, epsilon=epsilon)
    torch.testing.assert_close(found.flatten(1), expected.detach())


def test_gamma_and_box_written_out(spec):
    """One convolution, ReLU, one convolution as a matrix product: rules as in the papers, unit by unit."""
    model = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(2, 2)
        )
    )
    with torch.no_grad():
        model[2].bias.fill_(0.1)
        model[2].weight.copy_(torch.tensor([[1.0, -0.5, 0.7], [-0.3, 0.9, 0.4]]).view(2, 3, 1, 1))
        model[0].weight.copy_(torch.tensor([1.0, 2.0, -1.5]).view(3, 1, 1, 1))
        model[0].bias.copy_(torch.tensor([0.2, -0.1, 0.5]))
    point = ModelSpec("toy", ("a", "b"), (1, 1))
    x, low, high = 0.6, -2.0, 2.0
    w1, b1 = model[0].weight.flatten().tolist(), model[0].bias.tolist()
    w2, b2 = model[2].weight.view(2, 3).tolist(), model[2].bias.tolist()
    out = model[5].weight[1].tolist()
    a1 = [max(w * x + b, 0.0) for w, b in zip(w1, b1, strict=True)]
    z2 = [sum(w * a for w, a in zip(row, a1, strict=True)) + b for row, b in zip(w2, b2, strict=True)]
    top = [max(z, 0.0) * o for z, o in zip(z2, out, strict=True)]
    assert min(z2) > 0
    relevance1 = [0.0, 0.0, 0.0]
    for unit in range(2):
        raised = [w + 0.25 * max(w, 0.0) for w in w2[unit]]
        total = sum(w * a for w, a in zip(raised, a1, strict=True)) + b2[unit] * 1.25
        for i in range(3):
            relevance1[i] += a1[i] * raised[i] / total * top[unit]
    # z^B shares all of it out, and there is one pixel to take it
    assert all((x - (low if w > 0 else high)) * w > 0 for w in w1)
    found = signed_lrp(model, point, torch.full((1, 1, 1, 1), x), composite="epsilon-gamma-box", epsilon=1e-9)
    assert found.item() == pytest.approx(sum(relevance1), rel=1e-4)


def test_box_credits_pixels_by_their_distance_from_the_worst_one(spec):
    model = nn.Sequential(nn.Conv2d(1, 1, 2, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(1, 2, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[[[1.0, -2.0], [0.5, -1.0]]]]))
        model[3].weight.copy_(torch.tensor([[0.0], [3.0]]))
    tiny = ModelSpec("toy", ("a", "b"), (2, 2))
    image = torch.tensor([[[[1.0, 0.0], [-2.0, -2.0]]]])  # white-ish, zero, and twice black
    logit = 3 * (1.0 + 0.0 - 1.0 + 2.0)
    shares = torch.tensor([[[[(1.0 + 2) * 1.0, (2 - 0.0) * 2.0], [0.0, (2 + 2) * 1.0]]]])
    found = signed_lrp(model, tiny, image, composite="epsilon-gamma-box", epsilon=1e-9)
    torch.testing.assert_close(found, shares / shares.sum() * logit, rtol=1e-4, atol=1e-5)
    assert found[0, 0, 0, 1] > 0  # the pixel whose network input is 0: epsilon would give it nothing
    assert signed_lrp(model, tiny, image)[0, 0, 0, 1] == 0


def test_plus_uses_positive_contributions_only(spec):
    model = nn.Sequential(nn.Conv2d(1, 1, 2, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(1, 2, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[[[1.0, -2.0], [0.5, -1.0]]]]))
        model[3].weight.copy_(torch.tensor([[0.0], [3.0]]))
    image = torch.tensor([[[[1.0, 1.5], [-2.0, -2.0]]]])
    logit = 3 * model[0](image * torch.tensor([[1.0, 0.0], [0.0, 1.0]])).item()
    found = signed_lrp(model, ModelSpec("toy", ("a", "b"), (2, 2)), image, composite="epsilon-plus")
    assert (found == 0).all()  # z = 1 - 3 - 1 + 2 < 0: the ReLU is closed
    image[0, 0, 0, 1] = 0.5
    found = signed_lrp(model, ModelSpec("toy", ("a", "b"), (2, 2)), image, composite="epsilon-plus", epsilon=1e-9)
    expected = torch.tensor([[[[1.0, 0.0], [0.0, 2.0]]]]) / 3 * logit / 3  # z = 1 of 3 positive ones
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("composite", list(COMPOSITES))
@pytest.mark.parametrize("make", [lambda: cnn(bias=False), lambda: WithNorms(bias=False)])
def test_relevance_adds_up_to_the_logit_without_biases(make, images, spec, composite):
    model = seeded(make)
    for target in (0, 1):
        found = signed_lrp(model, spec, images, target, composite=composite, epsilon=1e-9)
        logits = model(images)[:, target].detach()
        torch.testing.assert_close(found.sum(dim=(1, 2, 3)), logits, atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("composite", list(COMPOSITES))
def test_merging_norms_changes_nothing(images, spec, composite):
    model = seeded(WithNorms)
    twin = merged(model)
    torch.testing.assert_close(model(images), twin(images))
    maps = [signed_lrp(each, spec, images, composite=composite) for each in (model, twin)]
    torch.testing.assert_close(*maps, atol=1e-5, rtol=1e-3)


def unbias(model, images):
    """No biases, but norms that keep the scale of what they see, as trained ones do."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
        elif isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
            module.bias.data.zero_()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # dropout draws from the global state, which other tests leave anywhere
        model(images)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.zero_()
            module.bias.data.zero_()
    return model.eval()


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "efficientnet-b0"])
def test_networks_of_the_catalog(name):
    model, spec = models.build(name, classes=("a", "b"), input_size=(64, 64))
    pixels = torch.rand(8, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    unbias(model, spec.preprocess(pixels))
    images = spec.preprocess(pixels[:2])
    logits = model(images)[:, 1].detach()
    for composite in COMPOSITES:
        if name == "efficientnet-b0" and composite == "epsilon-gamma-box":
            with pytest.raises(InputError, match="changes it before"):
                signed_lrp(model, spec, images, composite=composite)
            continue
        found = signed_lrp(model, spec, images, composite=composite, epsilon=1e-9).sum(dim=(1, 2, 3))
        assert logits.abs().min() > 1e-3
        torch.testing.assert_close(found, logits, rtol=0.02, atol=1e-4)


class Squeeze(nn.Module):
    """x sigmoid(mean x), as in squeeze-and-excitation; `swap` multiplies two features instead."""

    def __init__(self, swap=False):
        super().__init__()
        self.swap = swap

    def forward(self, images):
        gate = images.mean(dim=(2, 3), keepdim=True)
        gated = images * (gate if self.swap else torch.sigmoid(gate))
        total = gated.sum(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(total), total], dim=1)


def test_gates_are_constants(images, spec):
    expected = images * torch.sigmoid(images.mean(dim=(2, 3), keepdim=True))
    torch.testing.assert_close(signed_lrp(Squeeze(), spec, images), expected)


def test_products_of_features_are_refused(images, spec):
    with pytest.raises(InputError, match=r"product \(mul\) of two tensors"):
        signed_lrp(Squeeze(swap=True), spec, images)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.LayerNorm([1, SIDE, SIDE]), "no rule for layer_norm"),
        (nn.BatchNorm2d(1, track_running_stats=False), "running statistics"),
        (nn.Sigmoid(), "No path leads back"),
    ],
)
def test_what_no_rule_covers_is_refused(images, spec, layer, message):
    with pytest.raises(InputError, match=message):
        signed_lrp(nn.Sequential(layer, nn.Flatten(), nn.Linear(SIDE * SIDE, 2)), spec, images)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lrp", {"composite": "epsilon-pluss"}, "Did you mean 'epsilon-plus'"),
        ("lrp", {"epsilon": 0.0}, "must be positive, found 0.0"),
        ("lrp-no-input", {"composite": "epsilon-gamma-box"}, "not proportional"),
    ],
)
def test_bad_options_are_named(spec, name, options, message):
    with pytest.raises(InputError, match=message):
        create(name, cnn(), spec, **options)
