from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.segmentation import slic
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_distances

from pipeline.errors import InputError
from pipeline.explain import create
from pipeline.explain.lime import weighted_ridge


def identity(images, keep):
    return images


def grey(images, keep):
    return torch.zeros_like(images)


def reference_fit(kept, scores):
    """As the LIME package does it: scikit-learn's distances and ridge."""
    distances = cosine_distances(kept, kept[:1]).ravel()
    weights = np.sqrt(np.exp(-(distances**2) / 0.25**2))
    ridge = Ridge(alpha=1.0, fit_intercept=True).fit(kept, scores, sample_weight=weights)
    return ridge.coef_, ridge.score(kept, scores, sample_weight=weights)


def random_fit(seed=0, samples=60, features=9):
    random = np.random.default_rng(seed)
    kept = (random.random((samples, features)) < 0.5).astype(float)
    kept[0], kept[1] = 1, 0  # the whole image, and one of which nothing is kept
    return kept, random.random(samples)


@pytest.mark.parametrize("seed", range(3))
def test_regression_is_that_of_the_lime_package(seed):
    kept, scores = random_fit(seed)
    coefficients, r2 = weighted_ridge(torch.from_numpy(kept), torch.from_numpy(scores))
    expected, expected_r2 = reference_fit(kept, scores)
    np.testing.assert_allclose(coefficients.numpy(), expected, atol=1e-10)
    assert r2.item() == pytest.approx(expected_r2)


def test_constant_score_has_coefficients_of_exactly_zero():
    kept, _ = random_fit()
    coefficients, r2 = weighted_ridge(torch.from_numpy(kept), torch.full((60,), 0.3))
    assert (coefficients == 0).all()
    assert r2 == 1


def capture(model):
    """Everything that goes into `model` from now on."""
    seen = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    return seen


def test_map_is_what_the_published_steps_give(small_cnn, toy, toy_spec):
    seen = capture(small_cnn)
    found = create("lime", small_cnn, toy_spec, samples=40, batch_size=16).explain(toy.image[:1], 1)
    variants = torch.cat(seen[1:])[:40] if len(seen[0]) == 1 else torch.cat(seen)[:40]
    image = toy.image[0, 0]
    labels = slic(
        image.clamp(0, 1).double()[..., None].expand(-1, -1, 3).numpy(),
        n_segments=50,
        compactness=30,
        sigma=3 * 28 / 224,
    )
    assert found.info["segments"].item() == len(np.unique(labels))
    kept = np.array([[(v[0][labels == k] == image[labels == k]).all() for k in np.unique(labels)] for v in variants])
    assert kept[0].all()
    assert 0.4 < kept[1:].mean() < 0.6
    removed = [(v[0][labels == k] == 0).all().item() for v in variants for k in np.unique(labels)]
    assert np.array_equal(np.array(removed).reshape(kept.shape), ~kept)  # all of a superpixel or none
    with torch.no_grad():
        scores = torch.softmax(small_cnn.eval()(variants), dim=1)[:, 1].numpy()
    coefficients, r2 = reference_fit(kept.astype(float), scores)
    expected = np.zeros((28, 28))
    for k, value in zip(np.unique(labels), coefficients, strict=True):
        expected[labels == k] = value
    np.testing.assert_allclose(found.saliency[0, 0].numpy(), expected, atol=1e-5)
    assert found.info["r2"].item() == pytest.approx(r2, abs=1e-3)
    assert found.forward.item() == 40


def test_a_sum_over_superpixels_is_recovered(square_mean, toy, toy_spec, inside):
    """The logit is linear in the pixels, so the fit is good and coefficients are the superpixels' own shares."""
    found = create("lime", square_mean, toy_spec, score="logit", segments=30).explain(toy.image, 1)
    assert (found.info["r2"] > 0.95).all()
    shares = torch.where(inside["evidence"], 8 / 36 * toy.image, 0.0)
    for saliency, share in zip(found.saliency[:, 0], shares[:, 0], strict=True):
        for value in saliency.unique():
            place = saliency == value
            assert value.item() == pytest.approx(share[place].sum().item(), rel=0.1, abs=0.15)


def test_filling_with_what_was_there_changes_nothing(conv_square, toy, toy_spec):
    assert (create("lime-g", conv_square, toy_spec, fill=identity, samples=30).attribute(toy.image, 1) == 0).all()


def test_the_fill_is_the_only_difference(small_cnn, toy, toy_spec):
    plain = create("lime", small_cnn, toy_spec, samples=30).attribute(toy.image, 1)
    painted = create("lime-g", small_cnn, toy_spec, samples=30).attribute(toy.image, 1)
    for fill in ("zero", grey):
        assert torch.equal(create("lime-g", small_cnn, toy_spec, fill=fill, samples=30).attribute(toy.image, 1), plain)
    assert torch.equal(create("lime", small_cnn, toy_spec, fill="telea", samples=30).attribute(toy.image, 1), painted)
    assert not torch.equal(plain, painted)


def test_a_fill_colour_truncated_to_a_whole_grey_level_hardly_matters(square_mean, toy, toy_spec):
    """The authors truncate the mean colour to 8 bits: less than 1/255 off in every removed pixel."""
    plain = create("lime", square_mean, toy_spec, samples=60).attribute(toy.image, 1)
    truncated = create(
        "lime", square_mean, toy_spec, samples=60, fill=lambda images, _: torch.full_like(images, -1 / 255)
    )
    found = truncated.attribute(toy.image, 1)
    assert not torch.equal(found, plain)
    assert (found - plain).abs().max() < 0.02 * plain.abs().max()


def test_seed_decides_the_samples(small_cnn, toy, toy_spec):
    first, again, other = (
        create("lime", small_cnn, toy_spec, samples=30, seed=seed).attribute(toy.image, 1) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_superpixels_of_three_equal_channels_are_those_of_one(toy, toy_spec, square_mean):
    from dataclasses import replace

    three = replace(toy_spec, channels=3)
    names = ["a", "b", "c"]
    found = create("lime", square_mean, three, samples=30).attribute(
        toy.image.expand(-1, 3, -1, -1).contiguous(), 1, image_ids=names
    )
    expected = create("lime", square_mean, toy_spec, samples=30).attribute(toy.image, 1, image_ids=names)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("options", [{"samples": 1}, {"segments": 1}])
def test_too_little_to_fit_is_named(small_cnn, toy_spec, options):
    with pytest.raises(InputError, match="must be at least 2"):
        create("lime", small_cnn, toy_spec, **options)
