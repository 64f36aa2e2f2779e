from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from skimage.feature import hog

from pipeline.errors import InputError
from pipeline.explain.metrics import likeness


def maps(seed, batch=3, size=28):
    return torch.randn(batch, 1, size, size, generator=torch.Generator().manual_seed(seed))


def test_correlations_against_scipy_with_ties():
    first, second = (likeness.rows(maps(seed).round(decimals=1)) for seed in (0, 1))
    np.testing.assert_allclose(
        likeness.spearman(first, second), [spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]
    )
    np.testing.assert_allclose(
        likeness.pearson(first, second), [pearsonr(a, b).statistic for a, b in zip(first, second, strict=True)]
    )


def test_flat_rows_are_like_their_equals_only():
    flat, other = np.full((1, 9), 0.1), np.arange(9.0)[None]
    assert likeness.spearman(flat, flat + 1) == 1  # all ranks are equal
    assert likeness.spearman(flat, other) == likeness.spearman(other, flat) == likeness.pearson(flat, other) == 0
    assert likeness.pearson(flat, flat) == 1


@pytest.mark.parametrize("window", [{"gaussian_weights": True}, {"win_size": 5}])
def test_ssim_of_a_map_with_itself_is_one(window):
    special = torch.stack([torch.zeros(1, 28, 28), torch.full((1, 28, 28), 0.1), maps(0)[0]])
    special[0, 0, 5, 5] = 1
    np.testing.assert_allclose(likeness.ssim(special, special, [2.0] * 3, **window), 1)


def test_ssim_of_two_flat_maps_by_hand():
    """Without variance only the luminance term is left: (2 a b + C1) / (a^2 + b^2 + C1), C1 = (0.01 range)^2."""
    a, b = torch.full((1, 1, 28, 28), 0.2), torch.full((1, 1, 28, 28), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.04 + 0.36 + 1e-4)
    assert likeness.ssim(a, b, [1.0], win_size=5) == pytest.approx(expected, abs=1e-6)


def test_gradient_histograms_have_16_pixel_cells_at_224_and_scale():
    large, small = maps(0, 1, 224), maps(0, 1, 28)
    np.testing.assert_array_equal(
        likeness.gradient_histograms(large)[0], hog(large[0, 0].double().numpy(), pixels_per_cell=(16, 16))
    )
    assert likeness.gradient_histograms(large).shape == likeness.gradient_histograms(small).shape


def test_scaling():
    some = torch.cat([maps(0, 1) * 7 + 1, torch.zeros(1, 1, 28, 28), torch.full((1, 1, 28, 28), -3.0)])
    assert likeness.unit(some).abs().amax(dim=(1, 2, 3)).tolist() == [1, 0, 1]
    assert likeness.stretched(some).amax(dim=(1, 2, 3)).tolist() == [1, 0, 0]
    assert likeness.stretched(some).amin(dim=(1, 2, 3)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("first", "second"), [(maps(0), maps(0, 2)), (maps(0, 2, 10), maps(0, 2, 10)), (maps(0)[:, 0], maps(0)[:, 0])]
)
def test_bad_pairs_are_named(first, second):
    with pytest.raises(InputError, match=r"Maps to compare|Saliency is"):
        likeness.comparable(first, second)
