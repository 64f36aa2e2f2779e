from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve, gaussian_filter

from pipeline.errors import InputError
from pipeline.explain.metrics import rise_deletion_insertion
from pipeline.explain.metrics.rise_curves import rise_blur


def ramp(batch=1, size=28):
    return torch.rand(batch, 1, size, size, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("step", [None, 1, 50, 10_000])
def test_a_constant_model_scores_its_probability(constant, toy, step):
    curves = rise_deletion_insertion(constant, toy.image[:1], ramp(), 1, step=step)
    torch.testing.assert_close(curves.deletion_auc, torch.tensor([0.75]))
    torch.testing.assert_close(curves.insertion_auc, torch.tensor([0.75]))


def by_loops(model, image, saliency, step):
    """The protocol, one pixel at a time, for one image (1, C, H, W)."""
    order = np.argsort(-saliency.flatten().numpy(), kind="stable")
    curves = []
    for start, finish in ((image, torch.zeros_like(image)), (rise_blur(image), image)):
        current, scores = start.clone(), []
        for first in range(0, len(order) + step, step):
            scores.append(torch.softmax(model(current), 1)[0, 1].item())
            for pixel in order[first : first + step]:
                row, column = divmod(int(pixel), image.shape[-1])
                current[0, :, row, column] = finish[0, :, row, column]
            if first >= len(order):
                break
        curves.append(scores)
    areas = [(sum(y) - y[0] / 2 - y[-1] / 2) / (len(y) - 1) for y in curves]
    return curves, areas


@pytest.mark.parametrize("step", [28, 100])
def test_against_loops_one_image_and_batched(square_mean, toy, step):
    saliency = ramp(3).round(decimals=1)  # ties
    curves = rise_deletion_insertion(square_mean, toy.image, saliency, 1, step=step, batch_size=7)
    for number in range(3):
        one = slice(number, number + 1)
        (deletion, insertion), areas = by_loops(square_mean, toy.image[one], saliency[one], step)
        assert curves.deletion[number].tolist() == pytest.approx(deletion, abs=1e-5)
        assert curves.insertion[number].tolist() == pytest.approx(insertion, abs=1e-5)
        assert [curves.deletion_auc[number].item(), curves.insertion_auc[number].item()] == pytest.approx(
            areas, abs=1e-5
        )


def test_the_default_is_29_evaluations_of_1792_pixels_at_224(constant):
    curves = rise_deletion_insertion(constant, torch.zeros(1, 1, 224, 224), torch.zeros(1, 1, 224, 224), 1)
    assert len(curves.fractions) == 29
    assert curves.fractions[1].item() == pytest.approx(8 * 224 / 224**2)
    assert curves.fractions[-1] == 1


def test_ties_keep_reading_order(square_mean, toy):
    flat = rise_deletion_insertion(square_mean, toy.image, torch.full((3, 1, 28, 28), 0.1), 1)
    falling = -torch.arange(28.0 * 28).view(1, 1, 28, 28).expand(3, -1, -1, -1)
    assert torch.equal(flat.deletion, rise_deletion_insertion(square_mean, toy.image, falling, 1).deletion)


def test_the_evidence_beats_chance_and_its_opposite(square_mean, toy, inside):
    evidence = inside["evidence"].float().expand(3, 1, -1, -1)
    good, chance, bad = (
        rise_deletion_insertion(square_mean, toy.image, each, 1) for each in (evidence, ramp(3), -evidence)
    )
    assert (good.deletion_auc < chance.deletion_auc).all()
    assert (chance.deletion_auc < bad.deletion_auc).all()
    assert (good.insertion_auc > chance.insertion_auc).all()
    assert (chance.insertion_auc > bad.insertion_auc).all()


def test_the_blur_is_a_convolution_with_the_folded_kernel_and_zeros_around():
    image = torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    impulse = np.zeros((11, 11))
    impulse[5, 5] = 1
    kernel = gaussian_filter(impulse, 5)
    assert kernel.sum() == pytest.approx(1)
    expected = convolve(image[1, 2].numpy(), kernel, mode="constant")
    np.testing.assert_allclose(rise_blur(image)[1, 2].numpy(), expected, atol=1e-12)


def test_memory_running_out_and_the_model(small_cnn, toy):
    expected = rise_deletion_insertion(small_cnn, toy.image, ramp(3), 1)
    before = copy.deepcopy(small_cnn.state_dict())

    def refuse(_, inputs):
        if len(inputs[0]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    handle = small_cnn[0].register_forward_pre_hook(refuse)
    found = rise_deletion_insertion(small_cnn, toy.image, ramp(3), 1, batch_size=16)
    handle.remove()
    torch.testing.assert_close(found.deletion, expected.deletion, atol=1e-5, rtol=1e-4)
    assert small_cnn.training
    assert all(parameter.requires_grad for parameter in small_cnn.parameters())
    assert all(torch.equal(before[name], value) for name, value in small_cnn.state_dict().items())


@pytest.mark.parametrize(
    ("saliency", "target", "step", "message"),
    [
        (torch.zeros(3, 1, 14, 14), 1, None, "Upsample the map first"),
        (torch.zeros(2, 1, 28, 28), 1, None, "same number and size"),
        (torch.full((3, 1, 28, 28), torch.nan), 1, None, "NaN or infinity"),
        (torch.zeros(3, 1, 28, 28), 1, 0, "step=0"),
        (torch.zeros(3, 1, 28, 28), torch.tensor([0, 1]), None, "One target for each of 3 images"),
    ],
)
def test_bad_input_is_named(constant, toy, saliency, target, step, message):
    with pytest.raises(InputError, match=message):
        rise_deletion_insertion(constant, toy.image, saliency, target, step=step)
