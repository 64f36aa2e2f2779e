from __future__ import annotations

import pytest
import torch
from torch import nn

import models
from models import ModelSpec
from pipeline.errors import InputError
from pipeline.explain import create
from pipeline.explain.gradcam import last_feature_layer


class Toy(nn.Module):
    """Two feature maps, x and 2 - x, averaged and added: logit 1 = 3 mean(x) - mean(2 - x)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
            self.conv.bias.copy_(torch.tensor([0.0, 2.0]))
            self.head.weight.copy_(torch.tensor([[0.0, 0.0], [3.0, -1.0]]))

    def forward(self, images):
        return self.head(self.conv(images).mean(dim=(2, 3)))


def test_known_answer():
    images = torch.tensor([[[[0.0, 1.0], [0.25, 2.0]]]])
    explainer = create("grad-cam", Toy(), ModelSpec("toy", ("a", "b"), (2, 2)))
    # weights are d logit / d A averaged over 4 places: 3/4 and -1/4; map = relu(3/4 x - 1/4 (2 - x)) = relu(x - 1/2)
    torch.testing.assert_close(explainer.attribute(images, 1), torch.tensor([[[[0.0, 0.5], [0.0, 1.5]]]]))
    assert (explainer.attribute(images, 0) == 0).all()
    assert (explainer.evaluations.forward, explainer.evaluations.backward) == (2, 2)


@pytest.mark.parametrize("name", ["small", "resnet18", "densenet121", "efficientnet-b0"])
def test_last_feature_layer_of_the_catalog(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, spec = models.build(name, classes=("a", "b"), input_size=(96, 96))
    model.eval()
    image = torch.rand(1, spec.channels, 96, 96, generator=torch.Generator().manual_seed(0))
    layer = last_feature_layer(model, image)
    sizes = []
    handle = layer.register_forward_hook(lambda _, __, output: sizes.append(tuple(output.shape[1:])))
    with torch.no_grad():
        model(image)
    handle.remove()
    channels = {"small": None, "resnet18": 512, "densenet121": 1024, "efficientnet-b0": 1280}[name]
    assert sizes[-1][1] > 1
    if channels is not None:
        assert sizes[-1] == (channels, 3, 3)
    assert create("grad-cam", model, spec).attribute(image, 1).shape == (1, 1, 96, 96)


def test_layer_by_name(small_cnn, toy, toy_spec):
    maps = [create("grad-cam", small_cnn, toy_spec, layer=layer).attribute(toy.image, 1) for layer in ("0", "4")]
    assert not torch.equal(maps[0], maps[1])


def test_unknown_layer_is_named(small_cnn, toy_spec):
    with pytest.raises(InputError, match="The model has no layer 'conv9'"):
        create("grad-cam", small_cnn, toy_spec, layer="conv9")


def test_model_without_feature_maps_is_refused(constant, toy, toy_spec):
    with pytest.raises(InputError, match="feature map larger than 1 x 1"):
        create("grad-cam", constant, toy_spec).attribute(toy.image, 1)
