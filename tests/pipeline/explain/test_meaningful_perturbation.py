from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional

from models import ModelSpec
from pipeline.errors import InputError
from pipeline.explain import create
from pipeline.explain.removal import removal
from pipeline.randomness import torch_generator

IDS = ["a", "b", "c"]


def identity(images, keep):
    return images


def published_loop(model, image, image_id, spec, *, fill, size, iterations, jitter, target):
    """One image at a time, the loss of methods.md 4.4 written out, everything by autograd."""
    generator = torch_generator(0, "explain", "mp", image_id)
    mask = torch.rand(1, 1, size, size, generator=generator).requires_grad_()
    offsets = torch.randint(max(1, jitter), (iterations, 2), generator=generator)
    side = image.shape[-1]
    large = functional.interpolate(image[None], (side + jitter, side + jitter), mode="bilinear", align_corners=False)
    remove = removal(fill, spec)
    optimizer = torch.optim.Adam([mask], lr=0.1)
    losses = []
    for top, left in offsets.tolist():
        shown = large[..., top : top + side, left : left + side]
        up = mask.repeat_interleave(side // size, dim=2).repeat_interleave(side // size, dim=3)
        probability = torch.softmax(model(remove(shown, up)), dim=1)[0, target]
        variation = sum((mask.diff(dim=dim).abs() ** 3).sum() for dim in (2, 3))
        loss = 1e-4 * (1 - mask).abs().sum() + 1e-2 * variation + probability
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mask.data.clamp_(0, 1)
    return 1 - mask.detach(), losses


@pytest.mark.parametrize("fill", ["gaussian-10", "zero", "telea"])
@pytest.mark.parametrize("jitter", [0, 4])
def test_map_is_what_the_published_loop_gives(conv_square, toy, toy_spec, fill, jitter):
    options = {"size": 14, "iterations": 25, "jitter": jitter, "fill": fill}
    found = create("mp", conv_square, toy_spec, **options).explain(toy.image, 1, image_ids=IDS)
    for index, image_id in enumerate(IDS):
        expected, losses = published_loop(conv_square, toy.image[index], image_id, toy_spec, target=1, **options)
        blocks = found.saliency[index, 0].view(14, 2, 14, 2)
        assert torch.equal(blocks.amax(dim=(1, 3)), blocks.amin(dim=(1, 3)))
        torch.testing.assert_close(blocks.amax(dim=(1, 3)), expected[0, 0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(found.info["objective"][index], torch.tensor(losses), atol=1e-5, rtol=1e-5)
    assert found.forward.tolist() == found.backward.tolist() == [25] * 3


@pytest.mark.parametrize("name", ["mp", "mp-g"])
def test_defaults_find_the_evidence_and_keep_all_else(name, conv_square, toy, toy_spec, inside):
    found = create(name, conv_square, toy_spec).explain(toy.image, 1)
    saliency = found.saliency[:, 0]
    assert (saliency[:, inside["evidence"]] == 1).all()
    assert (saliency[:, inside["decoy"]] < 1e-3).all()
    assert (found.info["objective"][:, -1] < 0.1 * found.info["objective"][:, 0]).all()
    torch.testing.assert_close(found.info["removed_share"], (found.saliency > 0.5).float().mean(dim=(1, 2, 3)))


@pytest.mark.parametrize("name", ["mp", "mp-g"])
def test_defaults_remove_nothing_from_a_model_that_is_blind(name, blind_network, toy, toy_spec):
    assert (create(name, blind_network, toy_spec).attribute(toy.image, 1) == 0).all()


def test_filling_with_what_was_there_removes_nothing(conv_square, toy, toy_spec):
    explainer = create("mp-g", conv_square, toy_spec, fill=identity, start="circle", iterations=5)
    assert (explainer.attribute(toy.image, 1) == 0).all()


def test_the_fill_is_the_only_difference(conv_square, toy, toy_spec):
    plain = create("mp", conv_square, toy_spec, iterations=10).attribute(toy.image, 1)
    painted = create("mp-g", conv_square, toy_spec, iterations=10).attribute(toy.image, 1)
    assert not torch.equal(plain, painted)
    swapped = create("mp-g", conv_square, toy_spec, iterations=10, fill="gaussian-10").attribute(toy.image, 1)
    assert torch.equal(swapped, plain)
    assert torch.equal(
        create("mp", conv_square, toy_spec, iterations=10, fill="telea").attribute(toy.image, 1), painted
    )


def test_fills_paint_anew_in_each_step_with_a_hard_hole(conv_square, toy, toy_spec):
    holes = []

    def inpaint(images, keep):
        holes.append(keep[0, 0].clone())
        return torch.zeros_like(images)

    create("mp-g", conv_square, toy_spec, fill=inpaint, iterations=6).attribute(toy.image[:1], 1)
    assert len(holes) == 6
    assert all(set(hole.unique().tolist()) <= {0.0, 1.0} for hole in holes)
    assert not torch.equal(holes[0], holes[-1])


def test_jitter_crops_the_enlarged_image_elsewhere_in_each_step(conv_square, toy, toy_spec):
    seen = []
    conv_square.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    explainer = create("mp", conv_square, toy_spec, fill=identity, iterations=60, jitter=4, batch_size=2)
    explainer.attribute(toy.image[:2], 1, image_ids=["a", "b"])
    large = functional.interpolate(toy.image[:2], (32, 32), mode="bilinear", align_corners=False)
    crops = {(top, left): large[:, :, top : top + 28, left : left + 28] for top in range(4) for left in range(4)}
    places = [
        [p for p, crop in crops.items() if torch.allclose(crop[i], shown[i])] for shown in seen[:60] for i in (0, 1)
    ]
    assert all(len(place) == 1 for place in places)
    assert {place[0] for place in places} == set(crops)
    assert places[::2] != places[1::2]  # each image has its own


def test_jitter_is_four_pixels_at_the_size_of_the_paper(small_cnn):
    seen = []
    small_cnn.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    spec = ModelSpec("toy", ("a", "b"), (224, 224))
    ramp = torch.linspace(0, 1, 224).expand(1, 1, 224, 224).contiguous()
    create("mp", small_cnn, spec, fill=identity, iterations=40, batch_size=1).attribute(ramp, 1)
    assert len({round(shown[0, 0, 0, 100].item() * 227) for shown in seen[:40]}) == 4


def test_circle_starts_from_the_smallest_disc_that_takes_the_score_away(conv_square, toy_spec):
    image = torch.full((1, 1, 28, 28), 0.1)
    image[..., 8:14, 8:14] = 1
    drawn = []

    def watch(images, keep):
        drawn.append(keep.clone())
        return torch.zeros_like(images)

    explainer = create("mp-g", conv_square, toy_spec, fill=watch, start="circle", iterations=1, learning_rate=0.0)
    saliency = explainer.attribute(image, 1)[0, 0]
    discs = torch.cat(drawn)[:35]
    removed = (discs == 0).sum(dim=(1, 2, 3))
    assert (removed.diff() >= 0).all()
    assert removed[0] == 0
    assert removed[-1] == 28 * 28
    scores = torch.softmax(conv_square(image * discs), dim=1)[:, 1]
    attained = (scores - scores.min()) / (scores[0] - scores.min()) < 0.01
    first = int(attained.nonzero()[0])
    assert 0 < first < 34
    assert torch.equal(saliency > 0.5, discs[first, 0] == 0)
    torch.testing.assert_close(saliency, saliency.flip(0))
    assert ((saliency > 0.05) & (saliency < 0.45)).any()  # the rim is soft
    assert explainer.evaluations.forward == 35 + 1 + 1


def test_seed_decides_the_random_start(conv_square, toy, toy_spec):
    first, again, other = (
        create("mp", conv_square, toy_spec, iterations=3, seed=seed).attribute(toy.image, 1) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_mask_of_a_wide_image():
    spec = ModelSpec("toy", ("a", "b"), (32, 48))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32 * 48, 2))
    saliency = create("mp", model, spec, size=8, iterations=2).attribute(torch.rand(1, 1, 32, 48), 1)
    assert saliency.shape == (1, 1, 32, 48)
    assert torch.equal(saliency[..., ::4, ::6].repeat_interleave(4, dim=2).repeat_interleave(6, dim=3), saliency)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "circular"}, "Did you mean 'circle'"),
        ({"iterations": 0}, "iterations 0 must be at least 1"),
        ({"size": 0}, "Size 0"),
        ({"jitter": -1}, "jitter -1 at least 0"),
    ],
)
def test_bad_options_are_named(conv_square, toy_spec, options, message):
    with pytest.raises(InputError, match=message):
        create("mp", conv_square, toy_spec, **options)
