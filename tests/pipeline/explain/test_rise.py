from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from models import ModelSpec
from pipeline.errors import InputError
from pipeline.explain import create
from pipeline.explain.random_masks import GridMasks

SPEC = ModelSpec("toy", ("without", "with"), (12, 12))


class Linear(nn.Module):
    """Logit 1 = the weighted sum of the pixels."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.randn(12, 12, generator=torch.Generator().manual_seed(5)))

    def forward(self, images):
        total = (images[:, 0] * self.weight).sum(dim=(1, 2))
        return torch.stack([torch.zeros_like(total), total], dim=1)


@pytest.fixture
def image():
    return torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(6))


def expectation(image, *, keep, centred):
    """The map of infinitely many masks: all 2^9 grids of 3 x 3 cells at all 4 x 4 offsets, by their probability."""
    cells = torch.tensor(list(itertools.product([0.0, 1.0], repeat=9))).view(-1, 3, 3)
    visible = cells.sum(dim=(1, 2))
    chance = keep**visible * (1 - keep) ** (9 - visible) / 16
    maps, grids = [], GridMasks(3, image)
    for offset in itertools.product(range(4), repeat=2):
        masks = grids.masks(cells, torch.tensor([offset]).expand(len(cells), 2))
        maps.append((masks, Linear()(image * masks)[:, 1]))
    mean = sum((chance * scores).sum() for _, scores in maps) if centred else 0
    return sum((chance * (scores - mean)).view(-1, 1, 1, 1).mul(masks).sum(dim=0) for masks, scores in maps) / keep


@pytest.mark.parametrize("keep", [0.5, 0.3])
@pytest.mark.parametrize("centred", [True, False])
def test_map_of_many_masks_is_the_exact_expectation(image, keep, centred):
    explainer = create(
        "rise", Linear(), SPEC, masks=30000, grid=3, keep=keep, centred=centred, score="logit", baseline="zero",
        batch_size=5000,
    )  # fmt: skip
    expected = expectation(image, keep=keep, centred=centred)
    found = explainer.attribute(image, 1)[0]
    assert (found - expected).abs().max() < 0.05 * (expected.max() - expected.min())


def test_subtracting_the_average_score_takes_noise_away(toy, toy_spec, square_mean, inside):
    """By how much the evidence stands out, in standard deviations of the map elsewhere."""

    def contrast(centred):
        saliency = create("rise", square_mean, toy_spec, masks=500, centred=centred).attribute(toy.image[:1], 1)[0, 0]
        elsewhere = saliency[inside["background"] | inside["decoy"]]
        return (saliency[inside["evidence"]].mean() - elsewhere.mean()) / elsewhere.std()

    assert contrast(True) > 1.5 * contrast(False)


def test_published_map_is_the_average_score_where_nothing_matters(toy, toy_spec, constant):
    saliency = create("rise", constant, toy_spec, centred=False).attribute(toy.image, 1)
    torch.testing.assert_close(saliency, torch.full_like(saliency, 0.75), atol=0.1, rtol=0)
    assert (create("rise", constant, toy_spec, masks=100).attribute(toy.image, 1).abs() < 1e-6).all()


def test_each_image_has_its_own_masks(toy, toy_spec, square_mean):
    explainer = create("rise", square_mean, toy_spec, masks=50)
    same = toy.image[:1].expand(2, -1, -1, -1)
    one, other = explainer.attribute(same, 1, image_ids=["a", "b"])
    assert not torch.equal(one, other)


def test_one_evaluation_a_mask(toy, toy_spec, square_mean):
    assert create("rise", square_mean, toy_spec, masks=37).explain(toy.image, 1).forward.tolist() == [37] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"masks": 0}, "at least one mask"),
        ({"keep": 1.0}, "0 < keep < 1"),
        ({"grid": 29}, "2 to 28 cells a side, not 29"),
    ],
)
def test_bad_options_are_named(square_mean, toy_spec, options, message):
    with pytest.raises(InputError, match=message):
        create("rise", square_mean, toy_spec, **options)
