from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from captum.metrics import sensitivity_max

from pipeline.errors import InputError
from pipeline.explain import Explainer
from pipeline.explain.contract import Maps
from pipeline.explain.metrics import max_sensitivity, noise_floor
from pipeline.explain.metrics.stability import relative_change
from pipeline.randomness import torch_generator

IDS = ["a", "b", "c"]


class Affine(Explainer):
    """``factor * image + chance``, chance drawn per image from the seed."""

    name: ClassVar[str] = "affine"

    def __init__(self, *arguments, factor=1.0, chance=0.0, **settings):
        super().__init__(*arguments, **settings)
        self._factor, self._chance = factor, chance

    def _maps(self, query):
        drawn = torch.stack([torch.rand(1, 28, 28, generator=self.generator(key)) for key in query.image_ids])
        return Maps(self._factor * query.images + self._chance * drawn)


def test_against_captum_on_the_same_noise(constant, toy, toy_spec):
    explainer = Affine(constant, toy_spec)
    found = max_sensitivity(explainer, toy.image, 1, IDS, radius=0.1, samples=4, seed=7)
    noise = [
        (2 * torch.rand((1, 28, 28), generator=torch_generator("max-sensitivity", 7, key, sample)) - 1) * 0.1
        for key in IDS
        for sample in range(4)
    ]
    expected = sensitivity_max(
        lambda images: (explainer.attribute(images[0] if isinstance(images, tuple) else images, 1),),
        toy.image,
        perturb_func=lambda images, radius: images + torch.stack(noise),
        n_perturb_samples=4,
    )
    torch.testing.assert_close(found, expected)


def test_the_noise_stays_in_the_ball_and_reaches_its_edge(constant, toy, toy_spec):
    """For a map that is the image, the change is the noise: its root mean square is radius / sqrt(3)."""
    found = max_sensitivity(Affine(constant, toy_spec), toy.image, 1, IDS, radius=0.3, samples=1)
    norms = toy.image.flatten(1).norm(dim=1)
    torch.testing.assert_close(found * norms / 28, torch.full((3,), 0.3 / 3**0.5), atol=0.01, rtol=0)


def test_a_map_that_ignores_the_image_is_perfectly_stable_even_if_random(constant, toy, toy_spec):
    """The noise of the method itself is common to all evaluations; the noise floor shows it."""
    explainer = Affine(constant, toy_spec, factor=0.0, chance=1.0)
    assert max_sensitivity(explainer, toy.image, 1, IDS, samples=2).tolist() == [0, 0, 0]
    floor = noise_floor(
        lambda seed: Affine(constant, toy_spec, factor=0.0, chance=1.0, seed=seed), toy.image, 1, IDS, [0, 1, 2]
    )
    # Two uniform maps differ by 1/sqrt(6) of the range per pixel, and have a root mean square of 1/sqrt(3).
    torch.testing.assert_close(floor, torch.full((3,), 0.5**0.5), atol=0.1, rtol=0)


def test_a_method_without_chance_has_no_noise_floor(constant, toy, toy_spec):
    floor = noise_floor(lambda seed: Affine(constant, toy_spec, seed=seed), toy.image, 1, IDS, [0, 1])
    assert floor.tolist() == [0, 0, 0]


def test_images_do_not_depend_on_the_batch(small_cnn, toy, toy_spec):
    explainer = Affine(small_cnn, toy_spec)
    together = max_sensitivity(explainer, toy.image, 1, IDS)
    torch.testing.assert_close(max_sensitivity(explainer, toy.image[1:2], 1, ["b"]), together[1:2])
    assert not torch.equal(max_sensitivity(explainer, toy.image, 1, IDS, seed=1), together)


def test_zero_maps_have_norm_one():
    zero, moved = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    assert relative_change(zero, moved).tolist() == [2]
    assert relative_change(zero, zero).tolist() == [0]
    assert relative_change(moved, 3 * moved).tolist() == [2]


def test_bad_input_is_named(constant, toy, toy_spec):
    explainer = Affine(constant, toy_spec)
    with pytest.raises(InputError, match="found 0 and"):
        max_sensitivity(explainer, toy.image, 1, IDS, samples=0)
    with pytest.raises(InputError, match="radius > 0"):
        max_sensitivity(explainer, toy.image, 1, IDS, radius=0)
    with pytest.raises(InputError, match=r"two different seeds, found \[3, 3\]"):
        noise_floor(lambda seed: explainer, toy.image, 1, IDS, [3, 3])
