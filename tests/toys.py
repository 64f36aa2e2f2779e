"""Toy classifiers whose evidence is known, and images for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models import ModelSpec

SIZE = 28
QUARRY = (slice(8, 14), slice(8, 14))
"""Rows and columns of the square that decides the class."""
DECOY = (slice(18, 24), slice(18, 24))
"""An equally bright square that the classifier ignores."""


class SquareMean(nn.Module):
    """Two logits whose softmax gives p(1) = sigmoid(8 * (mean of `QUARRY` - 0.5)): the token model of methods.md."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images[:, :, QUARRY[0], QUARRY[1]].mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(mean), 8 * (mean - 0.5)], dim=1)


class Window(nn.Module):
    """Feature maps, silent outside `QUARRY`."""

    def __init__(self) -> None:
        super().__init__()
        window = torch.zeros(SIZE, SIZE)
        window[QUARRY] = 1.0
        self.register_buffer("window", window)

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.window


class ConvSquare(nn.Module):
    """The same function with hidden layers: ReLU feature maps, of which the first, inside the square, counts."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1, bias=False)
        self.relu = nn.ReLU()
        self.gate = Window()
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[0, 0, 1, 1] = 1.0
            self.conv.weight[1, 0] = 1 / 9

    def forward(self, images: Tensor) -> Tensor:
        maps = self.gate(self.relu(self.conv(images)))
        mean = maps[:, 0].sum(dim=(1, 2)) / 36
        return torch.stack([torch.zeros_like(mean), 8 * (mean - 0.5)], dim=1)


class DarkSquare(ConvSquare):
    """`ConvSquare` of the negative picture: the darker `QUARRY`, the surer; p(1) = sigmoid(8 * (0.5 - its mean))."""

    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            self.conv.weight.neg_()
            self.conv.bias = nn.Parameter(torch.ones(2))


class Constant(nn.Module):
    """Logits that do not depend on the image: p(1) = 0.75."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3))[:, None] * 0 + torch.log(images.new_tensor([0.25, 0.75]))


class BlindNetwork(nn.Module):
    """The same with hidden layers: a convolution that has learned nothing but its bias."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.relu = nn.ReLU()
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.bias.copy_(torch.log(torch.tensor([0.25, 0.75])) + 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.relu(self.conv(images)).mean(dim=(2, 3))


@dataclass(frozen=True)
class Toy:
    """Images (B, 1, 28, 28) with both squares bright, and their blurred baselines."""

    image: Tensor
    baseline: Tensor


@pytest.fixture(scope="session")
def toy() -> Toy:
    from pipeline.explain import blurred_baseline

    noise = np.random.default_rng(0).normal(0.2, 0.05, (3, 1, SIZE, SIZE))
    image = torch.tensor(noise, dtype=torch.float32)
    for rows, columns in (QUARRY, DECOY):
        image[:, :, rows, columns] = 1.0
    return Toy(image, blurred_baseline(image))


@pytest.fixture(scope="session")
def dark_toy(toy: Toy) -> Toy:
    """The negative of `toy`: background 0.8, both squares at exactly 0."""
    return Toy(1 - toy.image, 1 - toy.baseline)


@pytest.fixture
def dark_square() -> nn.Module:
    return DarkSquare().eval()


@pytest.fixture(scope="session")
def toy_spec() -> ModelSpec:
    return ModelSpec("toy", ("without", "with"), (SIZE, SIZE), mean=0.0, std=1.0)


@pytest.fixture
def square_mean() -> nn.Module:
    return SquareMean().eval()


@pytest.fixture
def conv_square() -> nn.Module:
    return ConvSquare().eval()


@pytest.fixture
def constant() -> nn.Module:
    return Constant().eval()


@pytest.fixture
def blind_network() -> nn.Module:
    return BlindNetwork().eval()


@pytest.fixture
def inside() -> dict[str, Tensor]:
    """Bool (28, 28): where the evidence is, where the decoy is, and the rest."""
    places = {name: torch.zeros(SIZE, SIZE, dtype=torch.bool) for name in ("evidence", "decoy")}
    places["evidence"][QUARRY] = True
    places["decoy"][DECOY] = True
    return {**places, "background": ~(places["evidence"] | places["decoy"])}


@pytest.fixture
def small_cnn() -> nn.Module:
    """A random two-layer network with batch norm, in training mode with gradients on: the way people leave models."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, stride=2, padding=2),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 2),
        )
