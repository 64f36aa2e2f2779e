"""Fidelity and stability of the DANCE paper, on classifiers whose answers are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pipeline.errors import InputError
from pipeline.explain import create
from pipeline.explain.metrics.decoy import RADIUS, attacked_images, saliency_fidelity, stability

IDS = ["a", "b", "c"]
ATTACKS = ["top-k", "target", "mass-centre"]


def centre(maps):
    rows, columns = (torch.arange(28.0) for _ in range(2))
    shares = maps / maps.sum(dim=(2, 3), keepdim=True)
    return torch.stack([(shares.sum(dim=3)[:, 0] * rows).sum(1), (shares.sum(dim=2)[:, 0] * columns).sum(1)], dim=1)


def test_fidelity_by_hand(square_mean, toy, inside):
    """The square at 1 is kept or, under the constant map, dimmed to the map's mean."""
    found = saliency_fidelity(square_mean, toy.image, inside["evidence"].float().expand(3, 1, 28, 28), 1)
    kept, flat = 1 / (1 + math.exp(-4)), 1 / (1 + math.exp(-8 * (36 / 784 - 0.5)))
    torch.testing.assert_close(found, torch.full((3,), -math.log(kept / flat)), rtol=1e-4, atol=1e-4)


def test_fidelity_prefers_the_evidence(square_mean, toy, inside):
    scores = [
        saliency_fidelity(square_mean, toy.image, inside[place].float().expand(3, 1, 28, 28), 1)
        for place in ("evidence", "background", "decoy")
    ]
    assert (scores[0] < 0).all()
    assert (scores[0] < scores[1]).all()
    assert (scores[0] < scores[2]).all()


def test_fidelity_of_a_constant_map_is_zero(square_mean, toy):
    assert (saliency_fidelity(square_mean, toy.image, torch.ones(3, 1, 28, 28), 1) == 0).all()


def test_fidelity_survives_probabilities_of_zero(toy, inside):
    class Sure(nn.Module):
        def forward(self, images):
            mean = images.mean(dim=(1, 2, 3))
            return torch.stack([mean * 0, -1e4 * (1 - mean)], dim=1)

    found = saliency_fidelity(Sure(), toy.image, inside["evidence"].float().expand(3, 1, 28, 28), 1)
    assert (found == 0).all()  # both are below the least probability


@pytest.fixture
def bent():
    """A random network with ReLU whose gradient map depends on the image."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layers = nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()
        return nn.Sequential(*layers, nn.AvgPool2d(4), nn.Flatten(), nn.Linear(392, 2)).eval()


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_small_keep_the_class_and_do_harm(bent, toy, toy_spec, attack):
    explainer = create("gradient", bent, toy_spec)
    images = attacked_images(explainer, toy.image, 1, IDS, attack=attack, radius=0.05)
    assert (images - toy.image).abs().amax() <= 0.05 + 1e-6
    assert images.amax() <= 1
    with torch.no_grad():
        assert torch.equal(bent(images).argmax(1), bent(toy.image).argmax(1))
    before, after = (explainer.attribute(each, 1) for each in (toy.image, images))
    share = [maps / maps.sum(dim=(2, 3), keepdim=True) for maps in (before, after)]
    if attack == "top-k":
        strongest = before.flatten(1).topk(round(5000 / 224**2 * 784), dim=1).indices
        held = [maps.flatten(1).gather(1, strongest).sum(1) for maps in share]
        assert (held[1] < held[0]).all()
    elif attack == "mass-centre":
        chance = torch.where(torch.rand(toy.image.shape, generator=torch.Generator().manual_seed(0)) > 0.5, 0.05, -0.05)
        luck = explainer.attribute((toy.image + chance).clamp(0, 1), 1)
        moved, lucky = ((centre(maps) - centre(before)).norm(dim=1) for maps in (after, luck))
        assert moved.mean() > lucky.mean()
    else:
        assert share[1][:, :, -1:, -1:].mean() >= share[0][:, :, -1:, -1:].mean()


def test_stability_is_the_relative_change(bent, toy, toy_spec):
    from pipeline.explain.dance import normalised_map

    explainer = create("gradient", bent, toy_spec)
    moved = attacked_images(explainer, toy.image, 1, IDS)
    maps = [normalised_map(explainer.attribute(each, 1)) for each in (toy.image, moved)]
    expected = [(b - a).norm() / (y - x).norm() for a, b, x, y in zip(*maps, toy.image, moved, strict=True)]
    found = stability(explainer, toy.image, 1, IDS)
    torch.testing.assert_close(found, torch.stack(expected))
    assert (found > 0).all()


def test_a_map_that_ignores_the_image_is_perfectly_stable(bent, toy, toy_spec):
    assert (stability(create("centre", bent, toy_spec), toy.image, 1, IDS) == 0).all()


def test_stability_depends_on_the_image_and_its_id_only(bent, toy, toy_spec):
    explainer = create("gradient", bent, toy_spec)
    together = stability(explainer, toy.image, 1, IDS)
    torch.testing.assert_close(stability(explainer, toy.image[1:2], 1, ["b"]), together[1:2], atol=1e-3, rtol=1e-2)


def test_no_attack_is_no_number(toy, toy_spec):
    """A classifier whose class hangs by a thread: every step changes it."""

    class Thread(nn.Module):
        def forward(self, images):
            moved = (images[:, None] - toy.image).abs().sum(dim=(2, 3, 4)).amin(dim=1)
            return torch.stack([moved, 1e-3 + images.square().mean(dim=(1, 2, 3)) * 1e-6], dim=1)

    assert stability(create("gradient", Thread(), toy_spec), toy.image, 1, IDS).isnan().all()


def test_classifier_is_left_as_it_was(bent, toy, toy_spec):
    attacked_images(create("gradient", bent, toy_spec), toy.image, 1, IDS, steps=2)
    assert [type(layer) for layer in bent[:4]] == [nn.Conv2d, nn.ReLU, nn.Conv2d, nn.ReLU]
    assert all(parameter.grad is None and parameter.requires_grad for parameter in bent.parameters())


def test_bad_settings_are_named(bent, toy, toy_spec):
    explainer = create("gradient", bent, toy_spec)
    with pytest.raises(InputError, match=r"Did you mean 'top-k'\?"):
        stability(explainer, toy.image, 1, IDS, attack="topk")
    with pytest.raises(InputError, match="radius > 0 and steps >= 1, found 0 and 20"):
        stability(explainer, toy.image, 1, IDS, radius=0)
    with pytest.raises(InputError, match="same number and size"):
        saliency_fidelity(bent, toy.image, torch.ones(3, 1, 14, 14), 1)
    assert pytest.approx(8 / 255) == RADIUS
