"""The objective against slow re-derivations from the papers."""

from __future__ import annotations

import pytest
import torch

from pipeline.explain.igos_objective import VARIANTS, BilateralVariation, Objective, total_variation, upsample
from pipeline.explain.igos_path import PathScore, Term, blend
from pipeline.explain.scorer import Scorer
from pipeline.randomness import torch_generator


def path_score(model, image, baseline, *, terms, steps=3, noise_std=0.0, target=1, max_batch=20, points="right"):
    return PathScore(
        Scorer(model, torch.full((len(image),), target), score="probability", batch_size=max_batch),
        image,
        baseline,
        terms=terms,
        steps=steps,
        points=points,
        noise_std=noise_std,
        generators=[torch_generator("test", number) for number in range(len(image))],
    )


def random_masks(*shape, dtype=torch.float32):
    return torch.rand(shape, generator=torch.Generator().manual_seed(5), dtype=dtype) * 0.8 + 0.1


def test_blend_keeps_the_image_under_one_and_the_baseline_under_zero(toy):
    ones = torch.ones_like(toy.image)
    assert torch.equal(blend(toy.image, toy.baseline, ones), toy.image)
    assert torch.equal(blend(toy.image, toy.baseline, 0 * ones), toy.baseline)


@pytest.mark.parametrize("insertion", [False, True])
def test_score_with_one_step_is_the_probability_of_the_blend(square_mean, toy, insertion):
    up = random_masks(3, 1, 28, 28)
    score = path_score(square_mean, toy.image, toy.baseline, terms=[Term(insertion, (0,))], steps=1)
    start, other = (toy.baseline, toy.image) if insertion else (toy.image, toy.baseline)
    expected = torch.softmax(square_mean(blend(start, other, up)), dim=1)[:, 1:]
    torch.testing.assert_close(score.values(up, torch.arange(3)), expected)


def test_score_scales_the_mask_along_the_path_from_one_over_s_to_one(square_mean, toy):
    up = random_masks(3, 1, 28, 28)
    values = path_score(square_mean, toy.image, toy.baseline, terms=[Term(False, (0,))], steps=4).values(
        up, torch.arange(3)
    )
    points = [
        torch.softmax(square_mean(blend(toy.image, toy.baseline, up * a)), 1)[:, 1] for a in (0.25, 0.5, 0.75, 1.0)
    ]
    torch.testing.assert_close(values[:, 0], torch.stack(points).mean(dim=0))


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradient_agrees_with_finite_differences(square_mean, toy, variant):
    image, baseline = toy.image[:1].double(), toy.baseline[:1].double()
    chosen = VARIANTS[variant]
    score = path_score(square_mean, image, baseline, terms=chosen.terms)
    # Without regulariser: `gradient` averages the score over the masks, `value` does not.
    objective = Objective(chosen, score, image, l1=0.0, l2=0.0)
    masks = random_masks(1, chosen.masks, 14, 14, dtype=torch.float64)
    everyone = torch.arange(1)
    gradient = objective.gradient(masks, everyone) * chosen.masks
    step = 1e-6
    for place in [(0, 0, 5, 5), (0, chosen.masks - 1, 6, 4), (0, chosen.masks - 1, 4, 5)]:
        moved = [masks.clone(), masks.clone()]
        moved[0][place] += step
        moved[1][place] -= step
        slope = (objective.value(moved[0], everyone) - objective.value(moved[1], everyone)) / (2 * step)
        assert abs(gradient[place]) > 1e-6
        torch.testing.assert_close(gradient[place], slope[0], rtol=1e-3, atol=0)


def test_regulariser_gradient_agrees_with_finite_differences(constant, toy):
    image, baseline = toy.image[:1].double(), toy.baseline[:1].double()
    score = path_score(constant, image, baseline, terms=VARIANTS["igos+"].terms)
    objective = Objective(VARIANTS["igos+"], score, image, l1=1.0, l2=20.0)
    masks, everyone, place, step = random_masks(1, 1, 14, 14, dtype=torch.float64), torch.arange(1), (0, 0, 6, 7), 1e-6
    moved = [masks.clone(), masks.clone()]
    moved[0][place] += step
    moved[1][place] -= step
    slope = (objective.value(moved[0], everyone) - objective.value(moved[1], everyone)) / (2 * step)
    torch.testing.assert_close(objective.gradient(masks, everyone)[place], slope[0], rtol=1e-6, atol=0)


@pytest.mark.parametrize("number", range(4))
def test_each_term_of_igos_plus_plus_pulls_the_mask_down_on_the_evidence(square_mean, toy, inside, number):
    term = VARIANTS["igos++"].terms[number]
    up = torch.full((1, 1, 28, 28), 0.7)
    slope = path_score(square_mean, toy.image[:1], toy.baseline[:1], terms=[term]).gradient(up, torch.arange(1))
    pull = (term.sign * slope)[0, 0]
    assert (pull[inside["evidence"]] > 0).all()
    assert (pull[~inside["evidence"]] == 0).all()


def test_noise_depends_on_the_image_only_not_on_batch_or_call_size(square_mean, toy):
    terms, up = VARIANTS["igos++"].terms, random_masks(3, 4, 28, 28)
    together = path_score(square_mean, toy.image, toy.baseline, terms=terms, noise_std=0.2).values(up, torch.arange(3))
    pieces = path_score(square_mean, toy.image, toy.baseline, terms=terms, noise_std=0.2, max_batch=2)
    one_by_one = [pieces.values(up[i : i + 1], torch.tensor([i])) for i in (2, 0, 1)]
    torch.testing.assert_close(together, torch.cat([one_by_one[1], one_by_one[2], one_by_one[0]]))


def test_noise_is_fresh_in_every_evaluation(square_mean, toy):
    score = path_score(square_mean, toy.image, toy.baseline, terms=VARIANTS["igos"].terms, noise_std=0.2)
    up, everyone = torch.ones(3, 1, 28, 28), torch.arange(3)
    assert (score.values(up, everyone) != score.values(up, everyone)).all()


def test_evaluations_are_counted_per_image(square_mean, toy):
    score = path_score(square_mean, toy.image, toy.baseline, terms=VARIANTS["igos+"].terms, steps=5)
    score.values(torch.ones(2, 2, 28, 28), torch.tensor([0, 2]))
    score.endpoints(torch.ones(1, 2, 28, 28), torch.tensor([1]))
    score.gradient(torch.ones(1, 2, 28, 28), torch.tensor([2]))
    assert score._scorer.forward.tolist() == [10, 2, 20]
    assert score._scorer.backward.tolist() == [0, 0, 10]


def test_total_variation_by_hand():
    mask = torch.tensor([[[[0.0, 1.0], [0.0, 3.0]]]])
    # vertical: 0, 2 -> mean of squares 2; horizontal: 1, 3 -> mean of squares 5
    assert total_variation(mask).tolist() == [7.0]


def bilateral_by_loops(image, mask, scale=0.01):
    large = upsample(mask[None, None], image.shape[-2:])[0, 0]
    height, width = image.shape[-2:]
    across = along = 0.0
    for y in range(height - 1):
        for x in range(width):
            step = (image[:, y + 1, x] - image[:, y, x]).mean()
            across += torch.exp(-(step**2) / scale) * (large[y + 1, x] - large[y, x]) ** 2
    for y in range(height):
        for x in range(width - 1):
            weight = torch.exp(-((image[:, y, x + 1] - image[:, y, x]) ** 2) / scale).mean()
            along += weight * (large[y, x + 1] - large[y, x]) ** 2
    flat = total_variation(mask[None, None])[0]
    return 0.5 * (flat + across / ((height - 1) * width) + along / (height * (width - 1)))


@pytest.mark.parametrize("channels", [1, 3])
def test_bilateral_variation_against_loops(channels):
    image = torch.rand(1, channels, 9, 11, generator=torch.Generator().manual_seed(1)) * 0.3
    mask = random_masks(1, 1, 5, 5)
    expected = bilateral_by_loops(image[0], mask[0, 0])
    torch.testing.assert_close(BilateralVariation(image)(mask, torch.arange(1))[0], expected)


def test_bilateral_variation_properties():
    flat_image, mask, which = torch.full((1, 1, 20, 20), 0.3), random_masks(1, 1, 7, 7), torch.arange(1)
    variation = BilateralVariation(flat_image)
    expected = 0.5 * (total_variation(mask) + total_variation(upsample(mask, (20, 20))))
    torch.testing.assert_close(variation(mask, which), expected)
    torch.testing.assert_close(variation(3 * mask, which), 9 * variation(mask, which))
    assert variation(torch.full((1, 1, 7, 7), 0.4), which) < 1e-12


def test_mask_may_jump_at_an_image_edge():
    image, mask = torch.zeros(1, 1, 20, 20), torch.ones(1, 1, 20, 20)
    mask[..., 10:] = 0
    free = BilateralVariation(image)(mask, torch.arange(1))
    image[..., 10:] = 1
    assert BilateralVariation(image)(mask, torch.arange(1)) < 0.6 * free
