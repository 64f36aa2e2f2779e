"""DANCE around other explainers, and its aggregation."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from pipeline.errors import InputError
from pipeline.explain import create
from pipeline.explain.contract import Explainer, Maps
from pipeline.explain.dance import Dance, decoy_range, normalised_map
from pipeline.explain.decoy_solver import DecoyOptions
from pipeline.explain.decoy_window import patch_grid
from pipeline.explain.decoys import make_decoys
from pipeline.explain.registry import method

QUICK = {"patch": 14, "inner_steps": 8, "rounds": 2}


@pytest.fixture
def maps():
    return torch.randn(6, 2, 5, 5, generator=torch.Generator().manual_seed(0))


def test_range_is_the_largest_less_the_smallest():
    maps = torch.tensor([[-1.0, 2.0], [3.0, 2.0], [0.0, 2.0]]).reshape(3, 1, 1, 2)
    assert decoy_range(maps).flatten().tolist() == [4.0, 0.0]


def test_range_is_not_negative_and_repeats_change_nothing(maps):
    spread = decoy_range(maps)
    assert (spread >= 0).all()
    assert torch.equal(decoy_range(maps.repeat(3, 1, 1, 1)), spread)
    assert torch.equal(decoy_range(maps.flip(0)), spread)


def test_more_decoys_never_lower_the_range(maps):
    spreads = [decoy_range(maps[:count]) for count in range(1, 7)]
    assert (spreads[0] == 0).all()
    for fewer, more in pairwise(spreads):
        assert (more >= fewer).all()


def test_rounding_is_no_range(maps):
    same = maps[:1].repeat(2, 1, 1, 1)
    same[1] *= 1 + 1e-7
    assert (decoy_range(same) == 0).all()


def test_post_processing_is_that_of_the_paper():
    ramp = torch.arange(1.0, 101.0).reshape(1, 1, 10, 10)
    signed = torch.cat([-ramp, 0.5 * ramp], dim=1)
    cut = torch.quantile(ramp, 0.95)
    torch.testing.assert_close(normalised_map(signed), (ramp.clamp(max=cut) - 1) / (cut - 1))


def test_a_sparse_map_survives_and_a_flat_one_is_nothing():
    sparse = torch.zeros(2, 1, 10, 10)
    sparse[0, 0, 3, 4] = 7.0
    found = normalised_map(sparse)
    assert found[0, 0, 3, 4] == 1
    assert found.sum() == 1
    assert (normalised_map(torch.ones(1, 1, 4, 4)) == 0).all()


def test_gradient_of_a_linear_model_has_no_range(toy, toy_spec):
    """Known limit of the method: it is ill-defined there."""
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(784, 2))
    found = create("dance:gradient", network, toy_spec, score="logit", layer="1", **QUICK).explain(toy.image, 1)
    assert (found.info["change"] > 0).all()
    assert (found.saliency == 0).all()


def test_identity_layer_leaves_nothing(small_cnn, toy, toy_spec):
    network = nn.Sequential(nn.Identity(), small_cnn)
    found = create("dance:gradient", network, toy_spec, layer="0", epsilon=0.0, **QUICK).explain(toy.image, 1)
    assert (found.info["change"] == 0).all()
    assert (found.saliency == 0).all()


class Product(nn.Module):
    """Logit 1 is the mean of the left half times that of the right half: the gradient on a half is the other's mean."""

    def __init__(self):
        super().__init__()
        self.pool = nn.AvgPool2d(2)

    def forward(self, images):
        left, right = self.pool(images).unflatten(3, (2, 7)).mean(dim=(1, 2, 4)).unbind(1)
        return torch.stack([torch.zeros_like(left), left * right], dim=1)


def test_second_order_is_what_it_sees(toy, toy_spec):
    """By hand: Z on the left is the range of the right means over the decoys, and the other way round."""
    options = {"epsilon": 0.5, "inner_steps": 8, "rounds": 2}
    dance = create("dance:gradient", Product(), toy_spec, score="logit", layer="pool", patch=14, **options)
    for image, saliency in zip(toy.image.split(1), dance.attribute(toy.image, 1).split(1), strict=True):
        decoys = make_decoys(
            Product(), "pool", image, patch_grid((28, 28), 14, 14), 14, toy_spec, DecoyOptions(**options)
        ).images
        left, right = (half.mean(dim=(1, 2, 3)) for half in decoys.split(14, dim=3))
        spread = [float(mean.amax() - mean.amin()) for mean in (right, left)]
        expected = torch.zeros(1, 1, 28, 28)
        expected[..., 14 * spread.index(max(spread)) :][..., :14] = 1
        torch.testing.assert_close(saliency, expected, atol=1e-3, rtol=0)


def test_notes_say_how_the_decoys_were_reached(small_cnn, toy, toy_spec):
    found = create("dance:gradient", small_cnn, toy_spec, **QUICK).explain(toy.image, 1)
    notes = found.info
    assert notes["decoys"].tolist() == [8, 8, 8]
    assert notes["drift"].shape == notes["gain"].shape == notes["decoy_probability"].shape == (3, 8)
    assert (notes["max_drift"] <= notes["epsilon"]).all()
    assert (notes["max_drift"] == notes["drift"].amax(1)).all()
    torch.testing.assert_close(notes["decoy_probability"], found.probability[:, None].expand(3, 8), atol=0.05, rtol=0)
    # The reference, then for each decoy its check, its probability and one gradient; and the steps of the search.
    assert found.backward.tolist() == (8 + notes["stem_evaluations"]).tolist()
    assert found.forward.tolist() == (1 + 3 * 8 + notes["stem_evaluations"]).tolist()


@pytest.mark.parametrize(
    ("name", "base_options"),
    [("gradient", {}), ("integrated-gradients", {"steps": 4}), ("smoothgrad", {"samples": 4}), ("grad-cam", {})],
)
def test_wraps_any_explainer(small_cnn, toy, toy_spec, name, base_options):
    dance = create(f"dance:{name}", small_cnn, toy_spec, seed=3, epsilon=0.5, base_options=base_options, **QUICK)
    assert dance.name == f"dance:{name}"
    maps = dance.attribute(toy.image[:1], 1)
    assert maps.amin() == 0
    assert maps.amax() == 1
    with pytest.raises(InputError, match=f"{name}: got an unexpected keyword argument 'colour'"):
        create(f"dance:{name}", small_cnn, toy_spec, base_options={"colour": 1})


class Noisy(Explainer):
    """Noise of the image's id and nothing else."""

    name = "noisy"

    def _maps(self, query):
        noise = [torch.randn(1, 28, 28, generator=self.generator(key)) for key in query.image_ids]
        return Maps(torch.stack(noise))


def test_noise_of_the_wrapped_explainer_is_no_range(small_cnn, toy, toy_spec):
    """All decoys of an image get the same noise."""
    dance = Dance(small_cnn, toy_spec, base=Noisy(small_cnn, toy_spec), **QUICK)
    dance.name = "dance:noisy"
    assert (dance.attribute(toy.image, 1) == 0).all()


def test_settings_reach_the_wrapped_explainer(small_cnn, toy_spec):
    dance = create("dance:gradient", small_cnn, toy_spec, seed=4)
    assert dance._base.seed == 4
    assert dance._base.score == dance.score == "probability"
    assert create("dance:gradient", small_cnn, toy_spec, score="logit")._base.score == "logit"
    own = create("dance:gradient", small_cnn, toy_spec, seed=4, base_options={"seed": 5, "score": "logit"})
    assert (own.seed, own._base.seed, own._base.score) == (4, 5, "logit")


def test_names_are_made_of_other_names():
    assert method("dance:occlusion").title.startswith("DANCE over occlusion")
    assert method("dance:input-x-gradient").input_factor
    assert not method("dance:gradient").input_factor
    for name in ("dance:nothing", "dance:dance:gradient", "dance:"):
        with pytest.raises(InputError, match="Unknown explainer"):
            method(name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 29}, "patch of 1 to 28 pixels, .* found 29"),
        ({"epsilon": -0.1}, "epsilon >= 0"),
        ({"rounds": 0}, "rounds >= 1"),
        ({"layer": "3x"}, "no layer '3x'"),
    ],
)
def test_bad_options_are_named(small_cnn, toy, toy_spec, options, message):
    with pytest.raises(InputError, match=message):
        create("dance:gradient", small_cnn, toy_spec, **options).attribute(toy.image, 1)


def test_long_searches_do_not_hang_on_the_batch(small_cnn, toy, toy_spec):
    """Bit for bit: a search magnifies the last bits of activations, which hang on the number of images."""

    def maps(images, ids, batch_size):
        explainer = create("dance:gradient", small_cnn, toy_spec, patch=7, inner_steps=25, batch_size=batch_size)
        return explainer.explain(images, 1, image_ids=ids)

    together = maps(toy.image, ["a", "b", "c"], 64)
    for other in (maps(toy.image[1:2], ["b"], 64), maps(toy.image[1:2], ["b"], 17)):
        assert torch.equal(other.info["gain"][0], together.info["gain"][1])
        torch.testing.assert_close(other.saliency[0], together.saliency[1], atol=1e-5, rtol=0)
