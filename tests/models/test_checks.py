"""Each way to break the contract is refused with the way to repair it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from models import ModelError, ModelSpec, build, check_classifier

SPEC = ModelSpec("small", ("a", "b"), (8, 8))
IMAGES = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(3))


class Toy(nn.Module):
    """Logits (m, -m) from the mean m of the input, changed by `after`."""

    def __init__(self, after: Callable[[Tensor], object] = lambda logits: logits) -> None:
        super().__init__()
        self.after = after

    def forward(self, images: Tensor) -> object:
        mean = images.mean(dim=(1, 2, 3))
        return self.after(torch.stack([mean, -mean], dim=1))


@pytest.mark.parametrize("value_range", [(0, 1), (0, 255), (-1024, 1024)])
def test_a_sound_classifier_passes(value_range: tuple[float, float]) -> None:
    low, high = value_range
    check_classifier(
        Toy().eval(), ModelSpec("x", ("a", "b"), (8, 8), 1, value_range, (low + high) / 2, high - low), IMAGES
    )
    check_classifier(Toy().eval(), ModelSpec("x", ("a", "b"), (8, 8), 1, value_range, 0, 1), IMAGES)


@pytest.mark.parametrize("name", ["small", "resnet18"])
def test_untrained_networks_pass(name: str) -> None:
    check_classifier(*build(name, classes=("a", "b"), input_size=(32, 32)), IMAGES)


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (torch.zeros_like, "same output for 4 different images"),
        (lambda logits: logits * torch.nan, "NaN or infinity for 4 of 4"),
        (lambda logits: torch.where(logits == logits.max(), torch.inf, logits), "NaN or infinity for 1 of 4"),
        (lambda logits: torch.softmax(logits, dim=1), "returns probabilities.*Remove the final softmax"),
        (lambda logits: logits[:, :1], r"returns shape \(4, 1\), expected \(4, 2\).*classes a, b"),
        (lambda logits: (logits, logits), "returns a tuple, not a tensor"),
        (lambda logits: logits @ torch.zeros(5, 5), r"cannot take input \(4, 1, 8, 8\)"),
    ],
)
def test_wrong_outputs(after: Callable[[Tensor], object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_classifier(Toy(after).eval(), SPEC, IMAGES)


def test_training_mode_of_one_inner_module_is_enough() -> None:
    model = nn.Sequential(Toy(), nn.Dropout()).eval()
    model[1].train()
    with pytest.raises(ModelError, match=r"in training mode \(e\.g\. 1\).*model\.eval\(\)"):
        check_classifier(model, SPEC, IMAGES)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES * 255, r"span \[.*\], allowed is \[0, 1\]"),
        (IMAGES - 0.5, r"allowed is \[0, 1\]"),
        (IMAGES * torch.nan, r"span \[nan, nan\]"),
        (IMAGES[:1], "at least two different images"),
        (IMAGES[:1].expand(3, -1, -1, -1), "at least two different images"),
        (IMAGES.double(), "float32"),
        (IMAGES[0], r"\(B, 1, H, W\), found torch.float32 \(1, 8, 8\)"),
    ],
)
def test_wrong_images(images: Tensor, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_classifier(Toy().eval(), SPEC, images)


@pytest.mark.parametrize(
    ("value_range", "mean", "std"), [((0, 255), 0.485, 0.229), ((0, 1), 120, 60), ((0, 1), 0.5, 0), ((0, 1), 0.5, -1)]
)
def test_normalisation_in_other_units_than_the_value_range(
    value_range: tuple[float, float], mean: float, std: float
) -> None:
    spec = ModelSpec("small", ("a", "b"), (8, 8), value_range=value_range, mean=mean, std=std)
    with pytest.raises(ModelError, match="in units of value_range"):
        check_classifier(Toy().eval(), spec, IMAGES)


def test_an_empty_value_range() -> None:
    with pytest.raises(ModelError, match="low < high"):
        check_classifier(Toy().eval(), ModelSpec("small", ("a", "b"), (8, 8), value_range=(1, 0)), IMAGES)


def test_the_model_is_left_as_it_was() -> None:
    model, spec = build("small", classes=("a", "b"), input_size=(32, 32))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    check_classifier(model, spec, IMAGES)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
