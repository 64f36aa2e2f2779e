from __future__ import annotations

import pytest
import torch

from pipeline.errors import InputError
from pipeline.explain import deletion_insertion
from pipeline.explain.igos_objective import upsample


def ramp(batch=1, size=28):
    return torch.rand(batch, 1, size, size, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(("size", "last"), [(28, 4), (16, 1), (10, 2)])
def test_constant_model(constant, toy, size, last):
    saliency = ramp(3, size)
    fair = deletion_insertion(constant, toy.image, toy.baseline, saliency, 1)
    torch.testing.assert_close(fair.deletion_auc, torch.full((3,), 0.75))
    torch.testing.assert_close(fair.insertion_auc, torch.full((3,), 0.75))
    official = deletion_insertion(constant, toy.image, toy.baseline, saliency, 1, official=True)
    expected = torch.full((3,), 0.75 + 0.25 * last / size**2)
    torch.testing.assert_close(official.deletion_auc, expected)
    torch.testing.assert_close(official.insertion_auc, expected)


def by_loops(model, image, baseline, saliency, steps):
    """The protocol, one block at a time."""
    side = saliency.shape[-1]
    order = sorted(range(side * side), key=lambda pixel: -saliency.flatten()[pixel].item())
    block = max(1, side * side // steps)
    mask, deletion, insertion = torch.ones(side * side), 0.0, 0.0
    for start in range(0, side * side, block):
        pixels = order[start : start + block]
        mask[pixels] = 0
        up = upsample(mask.view(1, 1, side, side), image.shape[-2:])
        share = len(pixels) / side**2
        deletion += share * torch.softmax(model(image * up + baseline * (1 - up)), 1)[0, 1].item()
        insertion += share * torch.softmax(model(baseline * up + image * (1 - up)), 1)[0, 1].item()
    return deletion, insertion


@pytest.mark.parametrize("steps", [50, 7])
def test_against_loops_one_image_and_batched(square_mean, toy, steps):
    saliency = ramp(3, 14)
    curves = deletion_insertion(square_mean, toy.image, toy.baseline, saliency, 1, steps=steps, max_batch=10)
    for number in range(3):
        one = slice(number, number + 1)
        expected = by_loops(square_mean, toy.image[one], toy.baseline[one], saliency[number], steps)
        assert curves.deletion_auc[number].item() == pytest.approx(expected[0], abs=1e-5)
        assert curves.insertion_auc[number].item() == pytest.approx(expected[1], abs=1e-5)


def test_curves_start_and_end_at_image_and_baseline(square_mean, toy):
    curves = deletion_insertion(square_mean, toy.image, toy.baseline, ramp(3), 1)
    image, baseline = (torch.softmax(square_mean(x), 1)[:, 1] for x in (toy.image, toy.baseline))
    for ends, curve in (((image, baseline), curves.deletion), ((baseline, image), curves.insertion)):
        torch.testing.assert_close(curve[:, 0], ends[0])
        torch.testing.assert_close(curve[:, -1], ends[1])
    assert curves.deletion.shape == (3, 54)
    assert curves.fractions[0] == 0
    assert curves.fractions[-1] == 1


def test_target_is_respected(square_mean, toy):
    with_class = deletion_insertion(square_mean, toy.image, toy.baseline, ramp(3), torch.tensor([0, 1, 1]))
    assert with_class.deletion[0, 0] < 0.5 < with_class.deletion[1, 0]


def test_bad_maps_are_refused(square_mean, toy):
    with pytest.raises(InputError, match="NaN"):
        deletion_insertion(square_mean, toy.image, toy.baseline, ramp(3) * float("nan"), 1)
    with pytest.raises(InputError, match=r"saliency \(B, 1, h, w\)"):
        deletion_insertion(square_mean, toy.image, toy.baseline, ramp(2), 1)
