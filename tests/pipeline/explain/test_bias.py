from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from models import ModelSpec
from pipeline.errors import EmptyResultError, InputError
from pipeline.explain import bias_glyphs, create
from pipeline.explain.bias import (
    SHIFT,
    Shifted,
    bias_index,
    glyph_lift,
    input_bias,
    random_weight_correlation,
    shift_error,
)
from pipeline.explain.bias_glyphs import BACKGROUND, NOISE, SPEC, ZERO, GlyphWorld, draw, glyph_worlds
from pipeline.explain.bias_patches import PatchEffects, dark_bright_ratio, patch_effects
from pipeline.explain.contract import Explainer, Maps
from pipeline.randomness import torch_generator

BLIND = ("input-x-gradient", "lrp", "rectgrad")
"""Multiplied by the input."""
SIGHTED = ("gradient", "lrp-no-input", "rectgrad-no-input")
"""The same, not multiplied by it."""


class Answer(Explainer):
    """The map is a function of the network input: a method whose bias is known."""

    def __init__(self, model, spec, function):
        super().__init__(model, spec)
        self.name = "answer"
        self.function = function

    def _maps(self, query):
        return Maps(self.function(query.images))


def answering(function):
    return lambda model, spec: Answer(model, spec, function)


def named(name, **options):
    return lambda model, spec: create(name, model, spec, **options)


@pytest.fixture(scope="module")
def worlds():
    return glyph_worlds(seed=0, values=(0.0, ZERO, 1.0), images=4)


@pytest.mark.slow
def test_worlds_are_what_they_say(worlds):
    for world in worlds:
        grey = world.spec.denormalise(world.images)
        torch.testing.assert_close(grey[world.evidence], torch.full_like(grey[world.evidence], world.value))
        assert (grey[~world.evidence] - BACKGROUND).abs().max() < 6 * NOISE
        fresh = draw(world.value, 200, torch_generator(99))
        with torch.no_grad():
            assert (world.model(fresh.inputs).argmax(dim=1) == fresh.labels).float().mean() > 0.97
    assert worlds[1].images[worlds[1].evidence].abs().max() < 1e-6  # network input 0


def test_classes_differ_in_texture_only():
    scene = draw(1.0, 50, torch_generator(0))
    assert scene.labels.sum() == 50
    assert len(scene.evidence.flatten(1).sum(dim=1).unique()) == 1
    assert torch.equal(scene.inputs, draw(1.0, 50, torch_generator(0)).inputs)


def test_glyph_that_is_not_learned_is_an_error(monkeypatch):
    monkeypatch.setattr(bias_glyphs, "MOST_STEPS", 1)
    with pytest.raises(EmptyResultError, match=r"intensity 0\.9 reached .* after 1 steps, 99% needed"):
        glyph_worlds(seed=0, values=(0.9,), images=1)


def test_lift_known_answers():
    images = torch.zeros(2, 1, 32, 32)
    evidence = torch.zeros(2, 1, 32, 32, dtype=torch.bool)
    evidence[..., :8, :16] = True  # an eighth of the area
    world = GlyphWorld(0.5, nn.Identity(), SPEC, images, evidence)

    def lift(function):
        # the answer judges no probabilities of a real network: two logits will do
        two = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 2))
        return glyph_lift(answering(function), GlyphWorld(0.5, two, world.spec, images, evidence))

    assert lift(lambda x: evidence.float()) == pytest.approx(8.0)
    assert lift(lambda x: -evidence.float()) == pytest.approx(8.0)
    assert lift(torch.ones_like) == pytest.approx(1.0)
    assert lift(torch.zeros_like) == 0.0


def test_bias_index_known_answers(worlds):
    assert bias_index(answering(torch.ones_like), worlds) == pytest.approx(0.0, abs=1e-6)
    assert bias_index(answering(torch.abs), worlds) == pytest.approx(1.0, abs=1e-4)
    assert bias_index(answering(torch.zeros_like), worlds) == 1.0
    with pytest.raises(InputError, match="at least 3 grey values, found 2"):
        bias_index(answering(torch.ones_like), worlds[:2])


@pytest.mark.parametrize("name", BLIND)
def test_input_factor_is_blind_to_one_grey_value(worlds, name):
    assert bias_index(named(name), worlds) > 0.99
    assert glyph_lift(named(name), worlds[2]) > 2


@pytest.mark.parametrize("name", SIGHTED)
def test_without_it_every_grey_value_is_seen(worlds, name):
    assert bias_index(named(name), worlds) < 0.4
    assert all(glyph_lift(named(name), world) > 2 for world in worlds)


@pytest.mark.parametrize("name", BLIND)
def test_input_factor_fails_the_shift(worlds, name):
    world = worlds[2]
    assert shift_error(named(name), world.model, world.spec, world.images, target=1) > 0.1


@pytest.mark.parametrize(
    ("name", "options"), [*((name, {}) for name in SIGHTED), ("grad-cam", {}), ("integrated-gradients", {})]
)
def test_the_others_pass_the_shift(worlds, name, options):
    world = worlds[2]
    assert shift_error(named(name, **options), world.model, world.spec, world.images, target=1) < 1e-4


def test_shift_error_known_answer(worlds):
    """|x + 1| - |x| = 1 for positive x: the error is ||1|| / ||x||."""
    images = torch.full((2, 1, 32, 32), 4.0)
    found = shift_error(answering(torch.abs), worlds[0].model, SPEC, images, target=1)
    assert found == pytest.approx(SHIFT / 4)
    assert shift_error(answering(torch.zeros_like), worlds[0].model, SPEC, images, target=1) == 0


def test_shifted_network_is_the_one_with_the_shift_in_its_bias(worlds):
    """b' = b - c sum(w), padding with c."""
    model, images = worlds[0].model, worlds[0].images
    first = model.features[0]
    with torch.no_grad():
        moved = functional.pad(images + SHIFT, (1, 1, 1, 1), value=SHIFT)
        absorbed = functional.conv2d(moved, first.weight, first.bias - SHIFT * first.weight.sum(dim=(1, 2, 3)))
        torch.testing.assert_close(
            model.classifier(model.pool(model.features[1:](absorbed)).flatten(1)),
            Shifted(model, SHIFT)(images + SHIFT),
            atol=1e-4,
            rtol=1e-4,
        )


def test_random_weight_correlation_known_answers():
    def correlation(function):
        return random_weight_correlation(answering(function), seed=0, networks=3)

    assert correlation(torch.abs) == pytest.approx(1.0)
    assert correlation(lambda x: -(x**2)) == pytest.approx(1.0)  # the size counts, not the sign
    assert correlation(lambda x: 1 / (1 + x.abs())) == pytest.approx(-1.0)
    assert correlation(torch.ones_like) == 0.0


def test_input_factor_follows_the_input_of_networks_that_learned_nothing():
    found = {name: random_weight_correlation(named(name), seed=0) for name in ("input-x-gradient", "gradient")}
    assert found["input-x-gradient"] > 0.3
    assert abs(found["gradient"]) < 0.2


class Brightness(nn.Module):
    """p(1) = sigmoid(4 mean): every pixel matters alike."""

    def forward(self, images):
        mean = images.mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(mean), 4 * mean], dim=1)


@pytest.fixture
def effects():
    """Ten patches of intensity 0.05, 0.15, ... 0.95 in two images; effects by hand."""
    spec = ModelSpec("toy", ("a", "b"), (8, 20), mean=0.0, std=1.0)
    intensity = ((torch.arange(10) + 0.5) / 10).view(2, 1, 5)
    images = intensity.repeat_interleave(4, dim=2).expand(2, 4, 20)[:, None].repeat(1, 1, 2, 1)
    effect = torch.tensor([3.0, 1, 2, 1, 3, 1, 2, 3, 1, 2]).view(2, 1, 5)
    effect = effect.expand(2, 2, 5)
    return PatchEffects(
        Brightness(), spec, 4, images, torch.tensor([1, 1]), effect, intensity.expand(2, 2, 5).contiguous()
    )


def test_dark_bright_ratio_known_answers(effects):
    truth = effects.effects.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)[:, None]
    scale = truth.mean(dim=(1, 2, 3))
    # Darkest fifth: the first two patches, of image 0; brightest: the last two, of image 1, scaled by its own mean.
    assert dark_bright_ratio(answering(lambda x: truth), effects) == pytest.approx(float(scale[1] / scale[0]))
    assert dark_bright_ratio(answering(lambda x: truth * (x > 0.3)), effects) == 0.0
    nothing = dark_bright_ratio(answering(torch.zeros_like), effects)
    assert nothing != nothing  # NaN


def test_patch_effects_known_answer():
    """Taking a bright patch off a black image darkens it by its share of the area; other patches change nothing."""
    spec = ModelSpec("toy", ("a", "b"), (32, 48), mean=0.0, std=1.0)
    images = torch.zeros(2, 1, 32, 48)
    images[0, :, 20:28, 36:44] = 1.0
    found = patch_effects(Brightness(), spec, images, 1)
    assert found.effects.shape == found.intensity.shape == (2, 2, 3)
    change = torch.sigmoid(torch.tensor(4 * 64 / (32 * 48))) - 0.5
    expected = torch.zeros(2, 2, 3)
    expected[0, 1, 2] = change
    torch.testing.assert_close(found.effects, expected, atol=1e-6, rtol=0)
    assert found.intensity[0, 1, 2] == pytest.approx(64 / 256)


def test_too_few_patches_are_refused():
    with pytest.raises(InputError, match="hold 4 patches of 16 pixels, at least 5"):
        patch_effects(Brightness(), SPEC, torch.zeros(1, 1, 32, 32), 1)


def test_report_has_one_row_a_method(worlds):
    told = []
    effects = patch_effects(worlds[2].model, worlds[2].spec, worlds[2].images, 1)
    options = {"names": ["gradient", "input-x-gradient", "sp"], "seed": 0, "worlds": worlds, "random_networks": 2}
    report = input_bias(
        options.pop("names"),
        **options,
        options={"sp": {"stride": 16}},
        effects=effects,
        progress=lambda *arguments: told.append(arguments),
    )
    assert list(report.columns) == [
        "method",
        "bias_index",
        "shift_error",
        "random_weight_correlation",
        "dark_bright_ratio",
    ]
    rows = report.set_index("method")
    assert list(rows.index) == ["gradient", "input-x-gradient", "sp"]
    assert rows.loc["gradient", "bias_index"] < 0.4 < 0.99 < rows.loc["input-x-gradient", "bias_index"]
    assert rows.loc["gradient", "shift_error"] < 1e-4 < 0.1 < rows.loc["input-x-gradient", "shift_error"]
    assert rows["dark_bright_ratio"].notna().all()
    assert told[-1] == ("input bias", 3, 3)
    again = input_bias({"mine": named("gradient")}, **options)
    assert again["bias_index"][0] == rows.loc["gradient", "bias_index"]
    assert again["dark_bright_ratio"].isna().all()
