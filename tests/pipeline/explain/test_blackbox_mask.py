from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from pipeline.errors import InputError
from pipeline.explain import create
from pipeline.explain.blackbox_mask import PRESETS, Chain, official_step, paper_step, retained, total_variation
from pipeline.explain.random_masks import GridMasks

official = partial(official_step, eta=0.02)


class Sure(nn.Module):
    """p(1) = `probability`, whatever the image."""

    def __init__(self, probability):
        super().__init__()
        self.logits = torch.log(torch.tensor([1 - probability, probability]).clamp_min(1e-30))

    def forward(self, images):
        return images.mean(dim=(1, 2, 3))[:, None] * 0 + self.logits


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def linear_toy(step, chains, iterations, *, images=10, highest=1.0):
    """Accumulated cells (images, 64): p is the share of the first six cells that is visible, times `highest`."""
    generator = torch.Generator().manual_seed(1)

    def uniform():
        return torch.rand(images, chains, 8, 8, generator=generator)

    chain, total = Chain.start((uniform() > 0.7).float()), torch.zeros(images, 8, 8)
    for _ in range(iterations):
        probability = highest * (chain.cells.flatten(2)[:, :, :6] > 0).float().mean(dim=2)
        chain = step(chain, probability, uniform())
        total += chain.weights.sum(dim=1)
    return total.flatten(1) / (chains * iterations)


def contrast(cells):
    """How many standard deviations the relevant cells stand above the others, averaged over images."""
    relevant, others = cells[:, :6], cells[:, 6:]
    return ((relevant.mean(dim=1) - others.mean(dim=1)) / others.std(dim=1)).mean().item()


def test_parallel_chains_find_what_one_frozen_chain_does_not():
    """The numbers of methods.md 2.2, each for 5000 evaluations."""
    single, fifty, many = (linear_toy(official, *size) for size in ((1, 5000), (50, 100), (250, 20)))
    assert contrast(single) == pytest.approx(0.9, abs=0.3)
    assert contrast(fifty) == pytest.approx(6.7, abs=1)
    assert contrast(many) == pytest.approx(11.4, abs=1)
    assert single[:, :6].mean() == pytest.approx(1.0, abs=0.02)
    assert single[:, 6:].mean() == pytest.approx(0.53, abs=0.04)
    assert single[:, 6:].std() == pytest.approx(0.5, abs=0.04)


def test_one_chain_that_cannot_freeze_does_well():
    assert contrast(linear_toy(official, 1, 5000, highest=0.87)) > 8


@pytest.mark.parametrize(("centred", "expected", "tolerance"), [(False, 12.3, 2), (True, 29, 4)])
def test_random_masks_on_the_same_toy(centred, expected, tolerance):
    visible = (random(10, 5000, 64) < 0.5).float()
    scores = visible[:, :, :6].mean(dim=2)
    scores = scores - scores.mean(dim=1, keepdim=True) if centred else scores
    assert contrast(torch.einsum("in,inc->ic", scores, visible)) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("use_tv", [True, False])
def test_paper_mode_finds_the_cells_that_matter(use_tv):
    assert contrast(linear_toy(partial(paper_step, use_tv=use_tv), 50, 100)) > 6


@pytest.mark.parametrize("probability", [0.2, 0.8])
def test_update_is_the_released_one_in_both_branches(probability):
    """`probability` before was 0.5, so one case takes each branch; written out as the released code does."""
    eta, before = 0.3, 0.5
    cells = torch.where(random(8, 8, seed=1) > 0.5, 0.9 + 0.2 * random(8, 8, seed=2), torch.zeros(8, 8))
    uniform = random(8, 8, seed=3)
    expected = cells.clone()
    expected[cells > 0] = (uniform[cells > 0] > 1 - probability).float()
    expected[cells == 0] = (uniform[cells == 0] > probability).float()
    fell, rose = expected - cells < 0, expected - cells > 0
    change = probability - before
    if change < 0:
        expected[fell] -= eta * change * expected[fell]
        expected[rose] += eta * change * expected[rose]
    else:
        expected[fell] += eta * change * expected[fell]
        expected[rose] -= eta * change * expected[rose]
    chain = Chain(cells[None, None], cells[None, None], torch.tensor([[before]]))
    found = official_step(chain, torch.tensor([[probability]]), uniform[None, None], eta=eta)
    torch.testing.assert_close(found.cells[0, 0], expected)
    assert len(found.cells.unique()) == 3  # hidden, fell, rose
    assert found.probability.item() == pytest.approx(probability)


def test_sign_of_the_change_does_not_matter():
    cells = (random(1, 1, 8, 8, seed=1) > 0.7).float()
    rising, falling = (
        official(Chain(cells, cells, torch.tensor([[before]])), torch.tensor([[0.5]]), random(1, 1, 8, 8, seed=2))
        for before in (0.25, 0.75)
    )
    assert torch.equal(rising.cells, falling.cells)


def test_share_of_cells_that_are_retained():
    cells = (random(1, 1, 200, 200, seed=1) > 0.5).float()
    drawn = retained(cells, torch.tensor([[0.7]]), random(1, 1, 200, 200, seed=2))
    assert drawn[cells > 0].mean() == pytest.approx(0.7, abs=0.02)
    assert drawn[cells == 0].mean() == pytest.approx(0.3, abs=0.02)


def test_official_mode_is_the_released_loop(toy, toy_spec, square_mean):
    """One image, one mask at a time, from the same random numbers."""
    explainer = create("blackbox-mask", square_mean, toy_spec, mode="official", iterations=40)
    found = explainer.attribute(toy.image, 1, image_ids=["a", "b", "c"])[1, 0]

    image, generator = toy.image[1:2], explainer.generator("b")
    grids = GridMasks(8, image)

    def enlarged(cells, offset):
        return grids.masks(cells[None], offset)

    cells = (torch.rand(1, 8, 8, generator=generator)[0] > 0.7).float()
    offset = grids.offsets(1, generator)
    total, before = torch.zeros(28, 28), 0.0
    for _ in range(40):
        p = torch.softmax(square_mean(enlarged(cells, offset) * image), dim=1)[0, 1]
        uniform = torch.rand(1, 8, 8, generator=generator)[0]
        drawn = torch.where(cells > 0, uniform > 1 - p, uniform > p).float()
        fell, rose = drawn < cells, drawn > cells
        cells = drawn.clone()
        cells[fell] *= 1 + 0.02 * abs(p - before)
        cells[rose] *= 1 - 0.02 * abs(p - before)
        before, offset = p, grids.offsets(1, generator)
        total += enlarged(cells, offset)[0, 0]
    expected = (total - 0.96 * total.mean()).clamp_min(0)
    torch.testing.assert_close(found, expected / expected.max(), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "options", [{}, {"mode": "official", "iterations": 1500}, {"mode": "paper"}, {"mode": "paper", "use_tv": False}]
)
def test_every_mode_finds_the_square(toy, toy_spec, square_mean, inside, options):
    maps = create("blackbox-mask", square_mean, toy_spec, **options).attribute(toy.image, 1)
    for saliency in maps[:, 0]:
        assert inside["evidence"].flatten()[saliency.argmax()]
        assert saliency[inside["evidence"]].mean() > 3 * saliency[inside["decoy"]].mean()


def test_map_becomes_flat_as_chains_grow_if_nothing_matters(toy, toy_spec, constant):
    variances = [
        create("blackbox-mask", constant, toy_spec, chains=chains, iterations=10).attribute(toy.image[:1], 1).var()
        for chains in (5, 50, 500)
    ]
    assert variances[0] > 3 * variances[1] > 9 * variances[2]
    assert variances[2] < 1e-4


@pytest.mark.parametrize(("probability", "expected"), [(1.0, 1.0), (0.5, 0.0)])
def test_frozen_chains_are_reported(toy, toy_spec, probability, expected):
    found = create("blackbox-mask", Sure(probability), toy_spec, chains=3, iterations=10).explain(toy.image, 1)
    assert found.info["unchanged"].tolist() == [expected] * 3


def test_every_mode_has_the_budget_of_the_released_code(toy, toy_spec, constant):
    assert {preset.chains * preset.iterations for preset in PRESETS.values()} == {5000}
    found = create("blackbox-mask", constant, toy_spec, chains=7, iterations=3).explain(toy.image, 1)
    assert found.forward.tolist() == [21] * 3


def test_published_modes_hide_pixels_behind_network_input_zero(toy, toy_spec, constant):
    for mode, baseline in (("parallel", toy.baseline), ("official", toy.image * 0), ("paper", toy.image * 0)):
        torch.testing.assert_close(create("blackbox-mask", constant, toy_spec, mode=mode).baseline(toy.image), baseline)


def test_total_variation():
    checkers = (torch.arange(8)[:, None] + torch.arange(8)) % 2
    half = (torch.arange(8) >= 4).expand(8, 8)
    found = total_variation(torch.stack([checkers.float(), half.float(), torch.ones(8, 8)]))
    torch.testing.assert_close(found, torch.tensor([1.0, 8 / 112, 0.0]))


def test_paper_update_by_hand():
    cells, memory = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[2.0, 3.0], [4.0, 5.0]])
    chain = Chain(cells[None, None], memory[None, None], torch.tensor([[0.25]]))
    found = paper_step(chain, torch.tensor([[0.75]]), torch.zeros(1, 1, 2, 2), use_tv=True)
    # dp = 1/2 and V = 1 for a checkerboard; uniform numbers of 0 are above neither 1 - p nor p: all cells hidden.
    assert found.weights[0, 0].tolist() == [[2.5, 3.0], [4.0, 5.5]]
    assert found.cells.sum() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "offical"}, "Did you mean 'official'"),
        ({"chains": 0}, "a chain and an iteration, found 0 and 100"),
        ({"grid": 40}, "2 to 28 cells a side, not 40"),
        ({"score": "logit"}, "'probability' only, found 'logit'"),
    ],
)
def test_bad_options_are_named(square_mean, toy_spec, options, message):
    with pytest.raises(InputError, match=message):
        create("blackbox-mask", square_mean, toy_spec, **options)
