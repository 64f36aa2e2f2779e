"""Holes, their rims, the latent search, and the accept test, on a generative model whose answers are known."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from models import ModelSpec
from pipeline.errors import InputError
from pipeline.explain.hole import rim_weights, salient_holes
from pipeline.explain.reconstruction import (
    MOMENTUM,
    RATE,
    REALISM,
    Variations,
    composite,
    context_loss,
    reconstruct,
    search_latents,
)
from tests.toys import QUARRY, SIZE, Toy


class Shades(nn.Module):
    """Each latent sets the brightness of one 4 x 4 block: any picture of such blocks can be made."""

    latent = 49
    size = SIZE

    def __init__(self, dislike: float = 0.0) -> None:
        super().__init__()
        self.dislike = dislike

    def forward(self, latents: Tensor) -> Tensor:
        return latents.view(-1, 1, 7, 7).repeat_interleave(4, 2).repeat_interleave(4, 3)

    def implausibility(self, pictures: Tensor) -> Tensor:
        """Half the squared latents, times `dislike`: the gradient in a latent is dislike times the latent."""
        return self.dislike * pictures[:, :, ::4, ::4].square().sum(dim=(1, 2, 3)) / 2


class Unsettled(nn.Module):
    """Answers 1 where the mean of `QUARRY` exceeds one half; counts the images it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def forward(self, images: Tensor) -> Tensor:
        self.asked += len(images)
        mean = images[:, 0, QUARRY[0], QUARRY[1]].mean(dim=(1, 2))
        return torch.stack([torch.zeros_like(mean), 40 * (mean - 0.5)], dim=1)


@pytest.fixture
def saliency() -> Tensor:
    """A peak over the middle of `QUARRY`, falling off in all directions; and a lesser one far away."""
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    near = torch.exp(-((rows - 10.6) ** 2 + (columns - 10.4) ** 2) / 20)
    far = 0.8 * torch.exp(-((rows - 24.2) ** 2 + (columns - 24.1) ** 2) / 4)
    return (near + far)[None, None]


@pytest.fixture
def square() -> Tensor:
    hole = torch.zeros(64, 64, dtype=torch.bool)
    hole[20:40, 24:36] = True
    return hole


def run(toy: Toy, spec: ModelSpec, saliency: Tensor, model: nn.Module | None = None, **options) -> list[Variations]:
    settings = {"holes": (0.5, 0.9), "candidates": 12, "steps": 25, "image_id": "a", **options}
    return reconstruct(model or Unsettled(), spec, Shades(), toy.image[:1], saliency, 1, **settings)


def test_holes_are_the_most_salient_shares_of_the_box_and_nested(saliency: Tensor) -> None:
    holes = salient_holes(saliency[0, 0], (0, 0.25, 0.5, 1))
    box = holes[-1].nonzero()
    (top, left), (bottom, right) = box.min(0).values.tolist(), (box.max(0).values + 1).tolist()
    assert len(box) == (bottom - top) * (right - left)
    assert (saliency[0, 0, top:bottom, left:right].max() == saliency.max()).item()
    assert bottom <= 18  # the far peak is a region of its own
    assert right <= 18
    assert [int(hole.sum()) for hole in holes] == [0, round(len(box) / 4), round(len(box) / 2), len(box)]
    for small, large in pairwise(holes):
        assert bool((large | ~small).all())
    middle = holes[2]
    assert saliency[0, 0][middle].min() >= saliency[0, 0][holes[3] & ~middle].max()


def test_a_flat_map_has_no_hole() -> None:
    with pytest.raises(InputError, match=r"0\.3 everywhere"):
        salient_holes(torch.full((8, 8), 0.3), (0.5,))


def test_importance_is_nothing_in_the_hole_and_most_at_its_rim(square: Tensor) -> None:
    weights = rim_weights(square)
    assert bool((weights[square] == 0).all())
    grown = nn.functional.max_pool2d(square[None, None].float(), 3, 1, 1)[0, 0] > 0
    rim = grown & ~square
    assert bool(rim.flatten()[weights.argmax()])
    assert bool((weights[rim] > 0).all())
    far = nn.functional.max_pool2d(square[None, None].float(), 15, 1, 7)[0, 0] == 0
    assert bool((weights[far] == 0).all())
    assert weights[19, 30].item() == pytest.approx(7 * 12 / 225)  # 7 of 15 rows and all 12 columns are hole


def test_at_the_border_the_filter_sees_the_picture_mirrored() -> None:
    hole = torch.zeros(64, 64, dtype=torch.bool)
    hole[0, :] = True
    # Around row 1 the 15 rows hold row 0 and, mirrored, row 0 once more.
    assert rim_weights(hole)[1, 30].item() == pytest.approx(2 / 15)
    assert rim_weights(~torch.zeros_like(hole)).sum() == 0


def test_one_update_is_the_authors_and_lambda_weighs_the_prior() -> None:
    start = torch.full((1, 49), 0.5)
    none, original = torch.zeros(SIZE, SIZE), torch.zeros(1, 1, SIZE, SIZE)
    first = search_latents(Shades(dislike=1000), original, none, start, 1)
    velocity = -RATE * REALISM * 1000 * 0.5
    assert (RATE, MOMENTUM, REALISM) == (0.01, 0.9, 0.005)
    assert first[0, 0].item() == pytest.approx(0.5 + 1.9 * velocity)
    second = search_latents(Shades(dislike=1000), original, none, start, 2)
    later = 0.9 * velocity - 0.01 * 0.005 * 1000 * first[0, 0].item()
    assert second[0, 0].item() == pytest.approx(first[0, 0].item() - 0.9 * velocity + 1.9 * later)
    assert torch.equal(start, torch.full((1, 49), 0.5))
    assert torch.equal(search_latents(Shades(), original, none, start, 3), start)


def test_latents_are_clipped() -> None:
    original = torch.full((1, 1, SIZE, SIZE), 5.0)  # out of reach
    latents = search_latents(Shades(), original, torch.ones(SIZE, SIZE), torch.zeros(2, 49), 40)
    assert torch.equal(latents, torch.ones(2, 49))


def test_the_search_finds_the_context_and_leaves_what_it_does_not_touch() -> None:
    hole = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    hole[8:16, 8:16] = True
    wanted = torch.rand(1, 49, generator=torch.Generator().manual_seed(1)) * 1.6 - 0.8
    original, weights, generator = Shades()(wanted), rim_weights(hole), Shades()
    start = torch.rand(5, 49, generator=torch.Generator().manual_seed(2)) * 2 - 1
    found = search_latents(generator, original, weights, start, 200)
    before, after = (context_loss(generator(z), original, weights) for z in (start, found))
    assert bool((after < 0.15 * before).all())
    inside = [block for block in range(49) if block // 7 in (2, 3) and block % 7 in (2, 3)]
    assert torch.equal(found[:, inside], start[:, inside])


def test_composites_are_the_image_outside_the_hole(toy: Toy, square: Tensor) -> None:
    spec = ModelSpec("toy", ("a", "b"), (96, 80), channels=3, value_range=(0, 255), mean=120.0, std=60.0)
    pixels = torch.rand(1, 1, 300, 200, generator=torch.Generator().manual_seed(3))
    contents = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(4))
    made, inputs = composite(spec, pixels, contents, square), spec.preprocess(pixels)
    assert made.shape == (4, 3, 96, 80)
    kept = ~(nn.functional.interpolate(square[None, None].float(), (96, 80)) > 0)[0, 0]
    assert torch.equal(made[..., kept], inputs[..., kept].expand(4, -1, -1))
    assert bool((made[..., ~kept] != inputs[..., ~kept]).any(dim=1).all())
    assert float(made.min()) >= float(spec.normalise(torch.zeros(())))
    assert torch.equal(composite(spec, pixels, contents, square & False), inputs.expand(4, -1, -1, -1))


def test_without_a_hole_everything_stays_and_is_accepted(toy: Toy, toy_spec: ModelSpec, saliency: Tensor) -> None:
    (found,) = run(toy, toy_spec, saliency, holes=(0,))
    assert bool(found.accepted.all())
    assert (found.accuracy, found.saliency_inside, found.spread) == (1.0, 0.0, None)
    assert float(found.context_loss.abs().max()) == float(found.change.abs().max()) == 0.0
    assert torch.equal(found.score, Unsettled()(toy.image[:1]).softmax(1)[:, 1].expand(12))


def test_accepted_are_those_whose_answer_stays(toy: Toy, toy_spec: ModelSpec, saliency: Tensor) -> None:
    model = Unsettled()
    found = run(toy, toy_spec, saliency, model, steps=0)  # contents as drawn: bright and dark ones
    # Each composite is asked about once; finding the batch size takes one image a hole more.
    assert model.asked == 2 * (12 + 1)
    for each in found:
        answers = model(composite(toy_spec, toy.image[:1], each.contents, each.hole)).argmax(1)
        assert torch.equal(each.accepted, answers == 1)
        assert torch.equal(each.accepted, each.score > 0.5)
        assert each.accuracy == pytest.approx(int(each.accepted.sum()) / 12)
    assert 0 < found[1].accuracy < 1
    assert found[1].accepted_score == pytest.approx(float(found[1].score[found[1].accepted].mean()))
    assert found[0].saliency_inside < found[1].saliency_inside


def test_nothing_accepted_has_no_mean_score(
    toy: Toy, toy_spec: ModelSpec, saliency: Tensor, constant: nn.Module
) -> None:
    found = reconstruct(
        constant, toy_spec, Shades(), toy.image[:1], saliency, 0, image_id="a", holes=(0.5,), candidates=3, steps=1
    )
    assert (found[0].accuracy, found[0].accepted_score, found[0].spread) == (0.0, None, None)


def test_the_same_again_with_other_holes_beside_it(toy: Toy, toy_spec: ModelSpec, saliency: Tensor) -> None:
    state = torch.random.get_rng_state()
    both, alone, other = (
        run(toy, toy_spec, saliency),
        run(toy, toy_spec, saliency, holes=(0.9,)),
        run(toy, toy_spec, saliency, holes=(0.9,), image_id="b"),
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(both[1].contents, alone[0].contents)
    assert not torch.equal(other[0].contents, alone[0].contents)


@pytest.mark.parametrize("options", [{"holes": ()}, {"holes": (1.2,)}, {"candidates": 0}, {"steps": -1}])
def test_settings_out_of_range(toy: Toy, toy_spec: ModelSpec, saliency: Tensor, options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="Holes are shares"):
        run(toy, toy_spec, saliency, **options)
