from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from skimage.feature import hog
from skimage.metrics import structural_similarity

from models import ModelSpec
from pipeline.errors import InputError
from pipeline.explain import available, create
from pipeline.explain.metrics import HYPERPARAMETERS, accuracy_spread, hyperparameters, similarity


def maps(seed, batch=2, size=28, *, signed=True):
    drawn = torch.randn(batch, 1, size, size, generator=torch.Generator().manual_seed(seed))
    return 5 * (drawn if signed else drawn.abs())


@pytest.mark.parametrize(("signed", "data_range"), [(True, 2), (False, 1)])
def test_against_the_loop_over_pairs(signed, data_range):
    settings = [maps(seed, signed=signed) for seed in range(3)]
    found = similarity(settings)
    for number in range(2):
        planes = [(each[number, 0] / each[number].abs().max()).double().numpy() for each in settings]
        pairs = [(planes[0], planes[1]), (planes[0], planes[2]), (planes[1], planes[2])]
        ssim = [structural_similarity(a, b, win_size=5, data_range=data_range) for a, b in pairs]
        histograms = [[hog(plane, pixels_per_cell=(2, 2)) for plane in pair] for pair in pairs]
        assert found.ssim[number].item() == pytest.approx(np.mean(ssim), abs=1e-6)
        assert found.hog[number].item() == pytest.approx(np.mean([pearsonr(*each)[0] for each in histograms]), abs=1e-5)
        assert found.spearman[number].item() == pytest.approx(
            np.mean([spearmanr(a, b, axis=None)[0] for a, b in pairs]), abs=1e-6
        )


def test_equal_maps_are_perfectly_robust_whatever_their_scale():
    one_pixel = torch.zeros(1, 1, 28, 28)
    one_pixel[0, 0, 3, 3] = 1
    settings = torch.cat([maps(0, 1), torch.zeros(1, 1, 28, 28), torch.full((1, 1, 28, 28), 0.1), one_pixel])
    found = similarity([settings, 4 * settings, settings])
    for values in (found.ssim, found.hog, found.spearman):
        torch.testing.assert_close(values, torch.ones(4))


def test_an_image_is_judged_without_regard_to_the_batch():
    settings = [torch.cat([maps(seed, 1, signed=False), maps(seed, 1)]) for seed in range(2)]
    both, alone = similarity(settings), similarity([each[:1] for each in settings])
    torch.testing.assert_close(both.ssim[:1], alone.ssim)


def test_accuracy_spread_by_hand():
    """Variances over settings 1 and 0; the root of their mean."""
    assert accuracy_spread(torch.tensor([[0.0, 5.0], [2.0, 5.0]])) == pytest.approx(0.5**0.5)


def test_settings_at_the_size_of_the_sources():
    spec = ModelSpec("any", ("a", "b"), (224, 224))
    assert [each["patch"] for each in hyperparameters("sp", spec)] == [5, 29, 53]
    assert [each["fill"] for each in hyperparameters("mp", spec)] == ["gaussian-5", "gaussian-10", "gaussian-30"]
    assert [each["seed"] for each in hyperparameters("lime", spec)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", [name for name in HYPERPARAMETERS if name in available()])
def test_the_explainers_take_the_settings_at_any_size(small_cnn, toy_spec, name):
    for options in hyperparameters(name, toy_spec):
        assert create(name, small_cnn, toy_spec, **options).name == name
    settings = hyperparameters(name, toy_spec)
    assert all(settings.count(options) == 1 for options in settings)


def test_bad_input_is_named(toy_spec):
    with pytest.raises(InputError, match="at least two settings"):
        similarity([maps(0)])
    with pytest.raises(InputError, match="Maps to compare"):
        similarity([maps(0), maps(0, 3)])
    with pytest.raises(InputError, match="No settings to compare for 'grad-cam'"):
        hyperparameters("grad-cam", toy_spec)
