from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from pipeline.errors import InputError
from pipeline.explain.metrics import saliency_metric


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_the_whole_image_scores_minus_log_p(square_mean, toy, value):
    """log 1 - log p, exactly: a crop that is the whole image is not resampled."""
    probability = torch.softmax(square_mean(toy.image), dim=1)[:, 1]
    found = saliency_metric(square_mean, toy.image, torch.full((3, 1, 28, 28), value), 1)
    torch.testing.assert_close(found, -probability.log())


@pytest.mark.parametrize(("side", "area"), [(14, 0.25), (4, 0.05)])
def test_a_constant_model_shows_the_area_with_its_floor(constant, toy, side, area):
    saliency = torch.zeros(3, 1, 28, 28)
    saliency[:, :, 3 : 3 + side, 5 : 5 + side] = 1
    found = saliency_metric(constant, toy.image, saliency, 1, batch_size=2)
    torch.testing.assert_close(found, torch.full((3,), math.log(area) - math.log(0.75)))


def test_a_crop_of_the_evidence_against_opencv(small_cnn, toy):
    """The reference resizes by OpenCV's cubic interpolation."""
    saliency = torch.zeros(3, 1, 28, 28)
    saliency[:, :, 4:20, 6:18] = 1
    found = saliency_metric(small_cnn, toy.image, saliency, torch.tensor([0, 1, 1]))
    small_cnn.eval()
    for number, target in enumerate((0, 1, 1)):
        crop = cv2.resize(toy.image[number, 0, 4:20, 6:18].numpy(), (28, 28), interpolation=cv2.INTER_CUBIC)
        with torch.no_grad():
            probability = torch.softmax(small_cnn(torch.from_numpy(crop)[None, None]), dim=1)[0, target]
        expected = np.log(16 * 12 / 28**2) - np.log(probability.item())
        assert found[number].item() == pytest.approx(expected, abs=1e-4)


def test_the_evidence_scores_better_than_the_decoy(square_mean, toy, inside):
    evidence, decoy = (inside[name].float().expand(3, 1, -1, -1) for name in ("evidence", "decoy"))
    background = toy.image.clone()
    background[:, :, inside["decoy"]] = 0.0
    assert (
        saliency_metric(square_mean, background, evidence, 1) < saliency_metric(square_mean, background, decoy, 1)
    ).all()


def test_impossible_classes_stay_finite(toy):
    class Never(torch.nn.Module):
        def forward(self, images):
            return torch.tensor([0.0, -1e4]).expand(len(images), 2)

    found = saliency_metric(Never(), toy.image, torch.zeros(3, 1, 28, 28), 1)
    torch.testing.assert_close(found, torch.full((3,), -math.log(1e-12)))


def test_bad_input_is_named(constant, toy):
    with pytest.raises(InputError, match="Upsample the map first"):
        saliency_metric(constant, toy.image, torch.zeros(3, 1, 7, 7), 1)
