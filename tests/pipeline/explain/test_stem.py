"""Where a classifier is cut: the default layer, and what runs up to it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import models
from pipeline.errors import InputError
from pipeline.explain.decoy_window import find_windows, patch_grid
from pipeline.explain.frozen import frozen
from pipeline.explain.stem import Stem, default_layer


def build(name):
    return models.build(name, classes=("a", "b"), input_size=(64, 64))[0]


@pytest.fixture
def image():
    return torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("small", "features.1"),
        ("resnet18", "layer1"),
        ("densenet121", "features.denseblock1"),
        ("efficientnet-b0", "_blocks.1"),
    ],
)
def test_default_layer_is_the_last_block_at_a_quarter_of_the_input(name, layer, image):
    assert default_layer(build(name), image) == layer


def test_default_layer_of_a_plain_network_is_its_last_fine_pooling(image):
    """A VGG: the second of its poolings, though convolutions at the same resolution follow."""
    sizes = [(1, 4), (4, 4), (4, 4)]
    layers = [layer for a, b in sizes for layer in (nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))]
    assert default_layer(nn.Sequential(*layers, nn.Flatten(), nn.Linear(256, 2)), image) == "5"


def test_default_layer_without_blocks_or_pooling_is_the_last_fine_one(small_cnn, conv_square, toy):
    assert default_layer(small_cnn, toy.image[:1]) == "4"
    assert default_layer(conv_square, toy.image[:1]) == "gate"


def test_default_layer_is_never_one_that_a_path_bypasses(image):
    class Skips(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.branch = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, images):
            maps = self.first(images)
            return (maps + self.branch(maps)).mean(dim=(2, 3))

    assert default_layer(Skips(), image) == "first"


def test_only_the_layers_up_to_the_named_one_run(image):
    network = build("small")
    later = []
    network.features[2].register_forward_hook(lambda *_: later.append(1))
    with torch.no_grad():
        found = Stem(network, "features.1", image)(image)
        assert torch.equal(found, network.features[:2](image))
        assert later == []
        network(image)  # and the hook is gone
    assert later == [1]


def test_layers_are_named_when_wrong(square_mean, small_cnn, toy):
    with pytest.raises(InputError, match=r"no layer 'featurs.1'\. Did you mean 'features.1'\?"):
        Stem(build("small"), "featurs.1", torch.zeros(1, 1, 64, 64))
    with pytest.raises(InputError, match="Name a layer with the option `layer`"):
        Stem(square_mean, None, toy.image[:1])
    small_cnn.unused = nn.ReLU()
    small_cnn.forward = lambda images: images.mean(dim=(2, 3))
    with pytest.raises(InputError, match="'unused' does not run"):
        Stem(small_cnn, "unused", toy.image[:1])(toy.image)


@pytest.mark.parametrize("name", ["small", "resnet18"])
def test_a_change_in_a_window_is_the_change_in_the_image(name):
    network = build(name)
    images = torch.rand(3, 1, 128, 128, generator=torch.Generator().manual_seed(1))
    with frozen(network), torch.no_grad():
        stem = Stem(network, None, images[:1])
        corners = patch_grid((128, 128), 8, 8)
        windows = find_windows(stem, images[:1], corners, 8)
        patch = torch.tensor([0, 119, 255])  # a corner, the middle and the opposite corner
        assert windows.size[0] < 128
        parts = windows.cut(images, patch)
        changed = torch.where(windows.inside(patch), 1 - parts, parts)
        whole = windows.paste(images, changed, patch)
        assert torch.equal(windows.cut(whole, patch), changed)
        assert ((whole != images).flatten(1).sum(1) == 64).all()
        near, far = (stem(changed) - stem(parts)).abs(), (stem(whole) - stem(images)).abs()
    torch.testing.assert_close(near.sum(dim=(1, 2, 3)), far.sum(dim=(1, 2, 3)), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(near.amax(dim=(1, 2, 3)), far.amax(dim=(1, 2, 3)), rtol=1e-4, atol=1e-5)


def test_window_is_the_image_where_the_layer_sees_or_knows_all_of_it(conv_square, toy):
    whole = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(1, 4), nn.ReLU())
    corners = patch_grid((28, 28), 4, 4)
    for network, layer in ((whole, "2"), (conv_square, "gate")):
        with frozen(network):
            assert find_windows(Stem(network, layer, toy.image[:1]), toy.image[:1], corners, 4).size == (28, 28)


def test_patches_cover_the_image_to_its_border():
    assert patch_grid((8, 7), 3, 3).tolist() == [[r, c] for r in (0, 3, 5) for c in (0, 3, 4)]
