from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from pipeline.explain import blurred_baseline


@pytest.mark.parametrize(
    ("height", "width", "taps"), [(64, 64, 51), (224, 200, 51), (512, 600, 151), (801, 820, 201), (30, 60, 51)]
)
def test_agrees_with_opencv(height, width, taps):
    image = np.random.default_rng(0).random((height, width), dtype=np.float32)
    expected = cv2.GaussianBlur(image, (taps, taps), sigmaX=taps - 1)
    found = blurred_baseline(torch.from_numpy(image)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("side", [1, 2, 7, 26])
def test_images_smaller_than_the_kernel(side):
    flat = torch.full((2, 3, side, side), 0.3)
    torch.testing.assert_close(blurred_baseline(flat), flat)


def test_blur_and_normalisation_commute():
    images = torch.rand(2, 1, 40, 50, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(blurred_baseline((images - 0.5) / 0.25), (blurred_baseline(images) - 0.5) / 0.25)
