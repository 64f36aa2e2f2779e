"""The catalog builds what it says, from its seed alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from models import ModelError, available, build

CLASSES = ("negative", "positive", "other")


@pytest.mark.parametrize("name", available())
def test_every_architecture_returns_one_logit_a_class(name: str) -> None:
    model, spec = build(name, classes=CLASSES, input_size=(64, 64))
    images = torch.rand(2, 1, 50, 70, generator=torch.Generator().manual_seed(0))
    logits = model(spec.preprocess(images))
    assert logits.shape == (2, 3)
    assert not torch.equal(logits[0], logits[1])
    assert not model.training


@pytest.mark.parametrize("name", available())
def test_weights_depend_on_the_seed_alone_and_global_randomness_is_untouched(name: str) -> None:
    def weights(seed: int) -> torch.Tensor:
        return torch.cat(
            [p.flatten() for p in build(name, classes=CLASSES, input_size=(64, 64), seed=seed)[0].parameters()]
        )

    before = torch.random.get_rng_state()
    first, again, other = weights(1), weights(1), weights(2)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_small_has_four_stages_of_doubling_width() -> None:
    model, _ = build("small", classes=("a", "b"), input_size=(64, 64))
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [16, 32, 64, 128]
    assert model.features(torch.zeros(1, 1, 64, 64)).shape == (1, 128, 4, 4)


def test_resnet18_starts_with_stride_two() -> None:
    model, _ = build("resnet18", classes=("a", "b"), input_size=(64, 64))
    assert model.conv1.stride == (2, 2)
    assert model.conv1.in_channels == 1


def test_an_option_is_kept_in_the_spec() -> None:
    model, spec = build("small", classes=("a", "b"), input_size=(32, 32), width=4)
    assert spec.options == (("width", 4),)
    assert model.classifier.in_features == 32


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resnet81", {}, "Did you mean 'resnet18'.*Allowed: densenet121, efficientnet-b0, resnet18, small"),
        ("small", {"widht": 4}, "option of small 'widht'. Did you mean 'width'"),
        ("resnet18", {"width": 4}, "Allowed: none"),
        ("small", {"classes": ("a",)}, "at least two different classes, found \\['a'\\]"),
        ("small", {"classes": ("a", "a")}, "at least two different classes"),
        ("small", {"input_size": (64, 16)}, "at least 32 x 32 pixels, found 64 x 16"),
    ],
)
def test_wrong_requests_say_what_is_allowed(name: str, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build(name, **{"classes": ("a", "b"), "input_size": (32, 32), **arguments})


@pytest.mark.slow
def test_importing_models_and_train_leaves_monai_out() -> None:
    code = "import sys, models.lungs, pipeline.train; sys.exit('monai' in sys.modules or 'ignite' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
