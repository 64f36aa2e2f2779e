"""Decoys: what they promise, tested on a small network with every patch and both signs."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn

from models import ModelSpec
from pipeline.explain.decoy_solver import DecoyOptions
from pipeline.explain.decoy_window import patch_grid
from pipeline.explain.decoys import decoy_problems, make_decoys
from pipeline.explain.frozen import frozen
from pipeline.explain.stem import Stem

SIDE = 8
SPEC = ModelSpec("toy", ("a", "b"), (32, 32), mean=0.4, std=0.5)


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return nn.Sequential(
            OrderedDict(
                input=nn.Identity(),
                conv=nn.Conv2d(1, 6, 3, padding=1),
                relu=nn.ReLU(),
                pool=nn.MaxPool2d(2),
                last=nn.Conv2d(6, 4, 3, padding=1),
                mean=nn.AdaptiveAvgPool2d(1),
                flat=nn.Flatten(),
                head=nn.Linear(4, 2),
            )
        ).eval()


@pytest.fixture(scope="module")
def images():
    """With black and white pixels, from which one way of the box is closed."""
    images = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(2)) * 1.2 - 0.1
    return SPEC.normalise(images.clamp(0, 1))


@pytest.fixture(scope="module")
def corners():
    return patch_grid((32, 32), SIDE, SIDE)


@pytest.fixture(scope="module")
def found(network, images, corners):
    return make_decoys(network, "pool", images, corners, SIDE, SPEC, DecoyOptions(inner_steps=40, rounds=5))


@pytest.fixture(scope="module")
def table(images, corners):
    """Originals (P, 1, 32, 32), their patches bool (P, 1, 32, 32) and signs (P,) of the problems of `found`."""
    which, patch, sign = decoy_problems(images, len(corners)).unbind(1)
    inside = torch.zeros(len(which), 1, 32, 32, dtype=torch.bool)
    for row, (top, left) in enumerate(corners[patch].tolist()):
        inside[row, :, top : top + SIDE, left : left + SIDE] = True
    return images[which], inside, sign


def drift(network, layer, originals, decoys):
    with frozen(network), torch.no_grad():
        stem = Stem(network, layer, originals[:1])
        return (stem(decoys) - stem(originals)).abs().flatten(1).amax(1)


def test_nothing_changes_outside_the_patch(found, table):
    originals, inside, _ = table
    assert len(found.images) == 2 * 16 * 2
    assert torch.equal(found.images[~inside], originals[~inside])
    assert (found.images != originals).flatten(1).any(1).all()


def test_decoys_are_legal_images(found):
    low, high = SPEC.normalise(torch.tensor([0.0, 1.0]))
    assert found.images.amin() >= low - 1e-6
    assert found.images.amax() <= high + 1e-6


def test_no_unit_of_the_layer_notices_any_decoy(network, found, table, images):
    assert (found.drift <= found.epsilon).all()
    once_more = torch.cat(
        [drift(network, "pool", a[None], b[None]) for a, b in zip(table[0], found.images, strict=True)]
    )
    assert (once_more <= found.epsilon).all()
    assert (once_more > 0.5 * found.epsilon).any()  # the constraint is what stops them
    with torch.no_grad():
        spread = network[:4](images).flatten(1).std(dim=1, correction=0)
    torch.testing.assert_close(found.epsilon, (0.02 * spread).repeat_interleave(32))


def test_decoys_beat_the_best_of_a_hundred_random_ones(network, found, table):
    """Random pixels of the box, moved towards the image until the layer does not notice: what luck can do."""
    originals, inside, sign = table
    generator = torch.Generator().manual_seed(3)
    low, high = SPEC.normalise(torch.tensor([0.0, 1.0]))
    for row in range(0, len(originals), 5):
        original = originals[row].expand(100, -1, -1, -1)
        noise = low + (high - low) * torch.rand(original.shape, generator=generator)
        way = torch.where(inside[row], noise - original, 0.0)
        share = torch.ones(100, 1, 1, 1)
        for _ in range(12):
            bad = drift(network, "pool", original, original + share * way) > found.epsilon[row]
            share[bad] /= 2
        luck = (share * way * sign[row]).clamp_min(0).flatten(1).sum(1).amax()
        assert found.gain[row] > luck


def test_objective_and_change_are_those_of_the_images(found, table):
    originals, _, sign = table
    change = found.images - originals
    torch.testing.assert_close(found.change, change.abs().flatten(1).sum(1))
    torch.testing.assert_close(found.gain, (change * sign[:, None, None, None]).clamp_min(0).flatten(1).sum(1))
    assert (found.gain > 0).all()
    assert (found.gain <= found.change + 1e-6).all()


def test_the_two_signs_pull_apart(found, table):
    up, down = ((found.images - table[0])[start::2].flatten(1).sum(1) for start in (0, 1))
    assert (up > 0).all()
    assert (down < 0).all()


def test_a_layer_that_sees_everything_leaves_no_room(network, images, corners):
    options = DecoyOptions(epsilon=0.0, inner_steps=2, rounds=2)
    found = make_decoys(network, "input", images, corners, SIDE, SPEC, options)
    assert torch.equal(found.images, images.repeat_interleave(32, dim=0))
    assert (found.drift == 0).all()


def test_a_layer_that_sees_nothing_leaves_the_whole_box(blind_network, toy, toy_spec):
    """Solved without a step: the ends of the box."""
    corners = patch_grid((28, 28), 14, 14)
    found = make_decoys(blind_network, "conv", toy.image[:1], corners, 14, toy_spec)
    bright, dark = found.images[0, 0, :14, :14], found.images[1, 0, :14, :14]
    assert (bright == 1).all()
    assert (dark == min(0, toy.image.min())).all()
    assert (found.steps == 0).all()


def test_pixels_that_the_layer_sees_together_move_against_each_other():
    """The layer sees the mean of 2 x 2 pixels. All may rise by epsilon, but two may rise much further if two fall.

    The best there is: 0.45 and 0.5 rise to 1, the other two fall to 0, and 4 epsilon are left.
    """
    network = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 2))
    spec = ModelSpec("toy", ("a", "b"), (8, 8), mean=0.0, std=1.0)
    image = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    image[:, :, 4:6, 4:6] = torch.tensor([[0.45, 0.55], [0.5, 0.5]])
    found = make_decoys(network, "0", image, torch.tensor([[4, 4]]), 2, spec)
    together = 4 * found.epsilon
    assert (found.gain > 4 * together).all()
    assert (found.gain <= 0.55 + 0.5 + together).all()
    assert (found.change < 2 * found.gain).all()


def test_results_do_not_depend_on_the_batch(network, images, corners):
    options = DecoyOptions(inner_steps=10, rounds=2)
    together = make_decoys(network, "pool", images, corners, SIDE, SPEC, options, batch_size=64)
    alone = make_decoys(network, "pool", images[1:], corners, SIDE, SPEC, options, batch_size=3)
    torch.testing.assert_close(together.images[32:], alone.images, atol=1e-5, rtol=1e-5)
    assert torch.equal(together.steps[32:], alone.steps)


def test_maps_of_any_function_can_be_asked_for(network, found):
    """Section 3.5 of the method: decoys are images, so a black box will do."""
    from pipeline.explain.dance import decoy_range

    def black_box(decoys):
        with torch.no_grad():
            return decoys * network(decoys)[:, :1, None, None]

    spread = decoy_range(black_box(found.images[:32]))
    assert spread.shape == (1, 32, 32)
    assert spread.amin() >= 0
    assert spread.amax() > 0
