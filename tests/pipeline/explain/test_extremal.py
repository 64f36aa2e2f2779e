from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from pipeline.errors import InputError
from pipeline.explain import create
from pipeline.explain.extremal import LEVELS, blur_pyramid, ranked, seen_through, shared_by_ties
from pipeline.explain.extremal_mask import SmoothMask

AREAS = (0.025, 0.05, 0.1)


def masks_of(model, spec, images, *areas, **options):
    """The mask of each area alone (areas, B, 1, H, W)."""
    return torch.stack(
        [create("extremal-perturbation", model, spec, areas=(a,), **options).attribute(images, 1) for a in areas]
    )


def test_masks_have_the_asked_area_and_lie_on_the_evidence(toy, toy_spec, conv_square, inside):
    found = create("extremal-perturbation", conv_square, toy_spec, areas=AREAS, iterations=60).explain(toy.image, 1)
    torch.testing.assert_close(found.info["area"], torch.tensor([AREAS] * 3), atol=0.01, rtol=0)
    smallest, largest = masks_of(conv_square, toy_spec, toy.image, AREAS[0], AREAS[-1], iterations=60)
    for mask in smallest[:, 0]:  # about 20 pixels, of the 36 that the classifier looks at
        assert (mask > 0.5).sum() > 15
        assert inside["evidence"][mask > 0.5].float().mean() > 0.8
        assert not inside["decoy"][mask > 0.1].any()
    for mask in largest[:, 0]:  # 78 pixels: the 36 and others around
        assert mask[inside["evidence"]].mean() > 0.95
        assert mask[inside["decoy"]].mean() < 0.05


def test_map_is_the_mean_of_the_masks(toy, toy_spec, conv_square):
    alone = masks_of(conv_square, toy_spec, toy.image, *AREAS, iterations=10)
    together = create("extremal-perturbation", conv_square, toy_spec, areas=AREAS, iterations=10)
    torch.testing.assert_close(together.attribute(toy.image, 1), alone.mean(dim=0), atol=1e-4, rtol=0)


def test_the_evidence_alone_preserves_the_score(toy, toy_spec, conv_square):
    explainer = create(
        "extremal-perturbation", conv_square, toy_spec, areas=(0.01, 0.1), iterations=60, score="probability"
    )
    found = explainer.explain(toy.image, 1)
    assert (found.info["score"][:, 1] > 0.98 * found.probability).all()
    assert (found.info["score"][:, 0] < 0.95 * found.probability).all()
    assert found.forward.tolist() == [2 * 61] * 3
    assert found.backward.tolist() == [2 * 60] * 3


class Linear(nn.Module):
    """Logit 1 = the weighted sum of the pixels."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.randn(28, 28, generator=torch.Generator().manual_seed(5)))

    def forward(self, images):
        total = (images[:, 0] * self.weight).sum(dim=(1, 2))
        return torch.stack([torch.zeros_like(total), total], dim=1)


def test_same_as_automatic_differentiation_and_torch_sgd(toy, toy_spec):
    """The objective of the class's docstring, for one image and area, handed to torch as it stands."""
    iterations = 6
    found = masks_of(Linear(), toy_spec, toy.image[:1], 0.1, iterations=iterations)[0]

    smooth, pyramid = SmoothMask(toy.image), blur_pyramid(toy.image[:1])[0]
    kept = torch.zeros(28 * 28)
    kept[-78:] = 1
    kept[-79] = 0.1 * 784 - 78
    parameters = smooth.start(1).requires_grad_()
    optimiser = torch.optim.SGD([parameters], lr=0.01, momentum=0.9, maximize=True)
    levels = torch.arange(LEVELS).view(-1, 1, 1, 1)
    for iteration in range(iterations):
        mask = smooth.enlarged(smooth.cells_of(parameters))
        hats = (1 - (mask * (LEVELS - 1) - levels).abs()).clamp_min(0)
        score = Linear()((hats * pyramid).sum(dim=0, keepdim=True))[0, 1]
        weight = 300 * (4900 / 300) ** (iteration / iterations)
        optimiser.zero_grad()
        values = mask.flatten().sort().values
        # At the start all values are equal: each wants the mean of what all want.
        wanted = kept.mean() if iteration == 0 else kept
        (score - weight * ((values - wanted) ** 2).mean()).backward()
        optimiser.step()
        with torch.no_grad():
            parameters.clamp_(0, 1)
    torch.testing.assert_close(found, smooth.enlarged(smooth.cells_of(parameters)).detach(), atol=1e-3, rtol=0)


def test_sorted_values_of_an_area():
    expected = [[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 0.0, 0.4]]
    torch.testing.assert_close(ranked(torch.tensor([0.25, 0.375, 0.1]), 4), torch.tensor(expected))


def test_one_parameter_makes_one_bump():
    smooth = SmoothMask(torch.zeros(1, 1, 224, 224))
    assert smooth.cells == 32 * 32
    parameters = torch.zeros_like(smooth.start(1))
    parameters[0, 0, 16, 16] = 1.0
    along = smooth.cells_of(parameters)[0, 0, 16, 16:]
    assert along[0] > 0.99
    assert along[1] > 0.99  # flat up to half the width of three cells
    assert (along.diff() <= 0).all()
    assert along[3] == pytest.approx(torch.exp(torch.tensor(-0.5)).item(), abs=0.01)
    assert (along[6:] < 0.01).all()


def test_the_border_is_no_special_place():
    smooth = SmoothMask(torch.zeros(1, 1, 40, 56))
    parameters = smooth.start(2).requires_grad_()
    cells = smooth.cells_of(parameters)
    (influence,) = torch.autograd.grad(cells.sum(), parameters)
    masks = smooth.enlarged(cells)
    assert masks.shape == (2, 1, 40, 56)
    assert masks.amax() - masks.amin() < 1e-6
    assert influence.amax() - influence.amin() < 1e-4


def test_equal_values_share_what_they_want():
    values = torch.tensor([[0.1, 0.1, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5, 0.5]])
    found = shared_by_ties(values, torch.tensor([[0.0, 0.0, 0.0, 1.0, 1.0]] * 2))
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0, 2 / 3, 2 / 3, 2 / 3], [0.4] * 5]))


def test_no_place_is_preferred_before_the_classifier_speaks(toy, toy_spec, constant):
    """An order among equal values, or a border that less holds back, would make stripes and frames."""
    explainer = create("extremal-perturbation", constant, toy_spec, areas=(0.2,), iterations=20)
    saliency = explainer.attribute(toy.image, 1)
    assert saliency.amax() - saliency.amin() < 1e-4


def test_pyramid_goes_from_twenty_pixels_at_224_to_the_image():
    dot = torch.zeros(1, 1, 113, 113)
    dot[..., 56, 56] = 1.0
    levels = blur_pyramid(dot)[0]
    assert len(levels) == LEVELS
    assert torch.equal(levels[-1], dot[0])
    squares = (torch.arange(113.0) - 56) ** 2
    widths = [(level[0].sum(dim=0) * squares).sum().sqrt().item() for level in levels]
    strongest = 20 * 113 / 224
    expected = [strongest * (7 - level) / 7 for level in range(LEVELS)]
    assert widths == pytest.approx(expected, abs=0.03)


def test_seen_through_masks(toy):
    pyramid = blur_pyramid(toy.image)
    which = torch.tensor([2, 0])
    heights = torch.tensor([1.0, 0.0]).view(2, 1, 1, 1).expand(2, 1, 28, 28)
    shown, _ = seen_through(heights, pyramid, which)
    assert torch.equal(shown[0], toy.image[2])
    assert torch.equal(shown[1], pyramid[0, 0])
    between, slopes = seen_through(torch.full((1, 1, 28, 28), 2.25 / 7), pyramid, which[:1])
    expected = functional.interpolate(pyramid[2, 2:4, 0].flatten(1).T[:, None], 5, mode="linear", align_corners=True)
    torch.testing.assert_close(between.flatten(), expected[:, 0, 1])
    torch.testing.assert_close(slopes[0], 7 * (pyramid[2, 3] - pyramid[2, 2]))


@pytest.mark.parametrize("options", [{"areas": ()}, {"areas": (0.1, 1.0)}, {"iterations": 0}])
def test_bad_options_are_named(conv_square, toy_spec, options):
    with pytest.raises(InputError, match="areas between 0 and 1 and an iteration"):
        create("extremal-perturbation", conv_square, toy_spec, **options)
