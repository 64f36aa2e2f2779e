from __future__ import annotations

import copy
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from models.small import SmallNet
from pipeline.errors import InputError
from pipeline.explain import Explainer, create
from pipeline.explain.contract import Maps
from pipeline.explain.metrics import parameter_randomisation
from pipeline.explain.metrics.randomisation import _layers_from_logits

IDS = ["a", "b", "c"]


class Picture(Explainer):
    """Shows the picture whatever the classifier."""

    name: ClassVar[str] = "picture"

    def _maps(self, query):
        return Maps(query.images.mean(dim=1, keepdim=True))


class Gradient(Explainer):
    """Signed gradient of the probability."""

    name: ClassVar[str] = "signed-gradient"

    def _maps(self, query):
        return Maps(query.scorer.gradients(query.images)[1].sum(dim=1, keepdim=True))


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return SmallNet(1, 2, width=4).eval()


def test_a_picture_of_the_input_survives_and_a_gradient_does_not(network, toy, toy_spec):
    picture = parameter_randomisation(network, toy_spec, lambda model: Picture(model, toy_spec), toy.image, 1, IDS)
    gradient = parameter_randomisation(network, toy_spec, lambda model: Gradient(model, toy_spec), toy.image, 1, IDS)
    measures = ["spearman_absolute", "spearman_signed", "ssim", "hog"]
    np.testing.assert_allclose(picture[measures], 1)
    last = gradient[gradient["step"] == 4]
    assert last["spearman_signed"].abs().max() < 0.3
    assert last["hog"].max() < 0.7
    assert last["ssim"].max() < 0.7


def test_one_row_per_step_and_image(network, toy, toy_spec):
    table = parameter_randomisation(
        network, toy_spec, lambda model: Picture(model, toy_spec), toy.image, 1, IDS, blocks=3
    )
    assert table["step"].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert table["image_id"].tolist() == IDS * 3
    assert table["layers"].iloc[-1] == 9  # 4 convolutions, 4 batch norms, the linear layer
    assert table["layers"].is_monotonic_increasing
    assert table["probability"].between(0, 1).all()


def test_layers_are_taken_from_the_logits_downwards(network, toy):
    names = [name for name, _ in _layers_from_logits(network, toy.image[:1], "small")]
    assert names[0] == "classifier"
    assert names[-1] == "features.0.0"
    assert len(names) == 9


def test_cascade_keeps_what_was_randomised_and_leaves_the_rest(network, toy, toy_spec):
    seen = []

    def make(model):
        seen.append(copy.deepcopy(model.state_dict()))
        return Picture(model, toy_spec)

    parameter_randomisation(network, toy_spec, make, toy.image, 1, IDS, blocks=9)
    assert len(seen) == 10
    first, last = "features.0.0.weight", "classifier.weight"
    assert torch.equal(seen[8][first], seen[0][first])
    assert not torch.equal(seen[9][first], seen[0][first])
    assert not torch.equal(seen[1][last], seen[0][last])
    assert all(torch.equal(state[last], seen[1][last]) for state in seen[2:])


def test_the_model_and_the_global_state_are_left_alone(network, toy, toy_spec):
    before, state = copy.deepcopy(network.state_dict()), torch.random.get_rng_state()
    run = [
        parameter_randomisation(
            network, toy_spec, lambda model: create("grad-cam", model, toy_spec), toy.image, 1, IDS, seed=seed
        )
        for seed in (0, 0, 1)
    ]
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    assert run[0].equals(run[1])
    assert not run[0].equals(run[2])


def test_statistics_of_batch_norm_do_not_move_while_the_order_is_found(small_cnn, toy):
    assert small_cnn.training
    before = small_cnn[1].running_mean.clone()
    _layers_from_logits(small_cnn, toy.image[:1], "cnn")
    assert torch.equal(small_cnn[1].running_mean, before)


def test_models_that_cannot_be_randomised_are_named(square_mean, toy, toy_spec):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))

        def forward(self, images):
            return images.mean(dim=(1, 2, 3))[:, None] * self.scale

    def run(model, **options):
        parameter_randomisation(model, toy_spec, lambda each: Picture(each, toy_spec), toy.image, 1, IDS, **options)

    with pytest.raises(InputError, match="'toy' cannot be randomised: it has no parameters"):
        run(square_mean)
    with pytest.raises(InputError, match=r"have parameters and no reset_parameters\(\)"):
        run(Scaled())
    with pytest.raises(InputError, match="blocks=0"):
        run(square_mean, blocks=0)
