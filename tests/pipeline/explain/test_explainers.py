"""The battery every explainer passes. Joining the registry means joining these tests."""

from __future__ import annotations

import copy

import pytest
import torch

from pipeline.errors import InputError, ModelError
from pipeline.explain import available, create, deletion_insertion

QUICK = {name: {"ig_steps": 8, "iterations": 8} for name in ("igos", "igos+", "igos++")}


def make(name, model, spec, **options):
    return create(name, model, spec, **{**QUICK.get(name, {}), **options})


@pytest.fixture(params=available())
def name(request):
    return request.param


def test_finds_the_evidence_and_not_the_decoy(name, conv_square, toy, toy_spec, inside):
    maps = make(name, conv_square, toy_spec).attribute(toy.image, 1)
    for saliency in maps[:, 0]:
        assert inside["evidence"].flatten()[saliency.argmax()]
        assert saliency[inside["evidence"]].mean() > 3 * saliency[inside["decoy"]].mean()


def test_map_is_more_faithful_than_chance_and_than_its_opposite(name, conv_square, toy, toy_spec):
    saliency = make(name, conv_square, toy_spec).attribute(toy.image[:1], 1)
    chance = torch.rand(saliency.shape, generator=torch.Generator().manual_seed(0))
    maps = (saliency, chance, -saliency)
    curves = [deletion_insertion(conv_square, toy.image[:1], toy.baseline[:1], each, 1) for each in maps]
    deletion = [curve.deletion_auc.item() for curve in curves]
    insertion = [curve.insertion_auc.item() for curve in curves]
    assert deletion[0] < deletion[1] < deletion[2]
    assert insertion[0] > insertion[1] > insertion[2]


def test_shape_type_and_counts(name, small_cnn, toy, toy_spec):
    explainer = make(name, small_cnn, toy_spec)
    maps = explainer.attribute(toy.image, torch.tensor([0, 1, 1]))
    assert maps.shape == (3, 1, 28, 28)
    assert maps.dtype == torch.float32
    assert not maps.requires_grad
    assert (maps >= 0).all()
    assert explainer.evaluations.forward >= explainer.evaluations.backward > 0


def test_map_depends_on_the_image_its_id_and_the_seed_only(name, small_cnn, toy, toy_spec):
    explainer = make(name, small_cnn, toy_spec)
    together = explainer.attribute(toy.image, 1, image_ids=["a", "b", "c"])
    reversed_order = explainer.attribute(toy.image.flip(0), 1, image_ids=["c", "b", "a"]).flip(0)
    torch.testing.assert_close(together, reversed_order, atol=1e-5, rtol=1e-5)
    assert torch.equal(together, explainer.attribute(toy.image, 1, image_ids=["a", "b", "c"]))
    unnamed = explainer.attribute(toy.image, 1)
    torch.testing.assert_close(unnamed[1:2], explainer.attribute(toy.image[1:2], 1), atol=1e-5, rtol=1e-5)


def test_model_is_left_as_it_was(name, small_cnn, toy, toy_spec):
    before = copy.deepcopy(small_cnn)
    global_state = torch.random.get_rng_state()
    make(name, small_cnn, toy_spec).attribute(toy.image, 1)
    assert torch.equal(global_state, torch.random.get_rng_state())
    for module, old in zip(small_cnn.modules(), before.modules(), strict=True):
        assert module.training == old.training
        assert not module._forward_hooks
    for parameter, old in zip(small_cnn.parameters(), before.parameters(), strict=True):
        assert torch.equal(parameter, old)
        assert parameter.stride() == old.stride()
        assert parameter.requires_grad == old.requires_grad
        assert parameter.grad is None
    for buffer, old in zip(small_cnn.buffers(), before.buffers(), strict=True):
        assert torch.equal(buffer, old)


def test_input_is_not_changed(name, small_cnn, toy, toy_spec):
    images = toy.image.clone()
    make(name, small_cnn, toy_spec).attribute(images, 1)
    assert torch.equal(images, toy.image)
    assert not images.requires_grad


def test_low_confidence_is_flagged(name, constant, conv_square, toy, toy_spec):
    sure = make(name, conv_square, toy_spec).explain(toy.image, 1)
    assert not sure.low_confidence.any()
    expected = torch.softmax(conv_square(toy.baseline), dim=1)[:, 1].detach()
    torch.testing.assert_close(sure.baseline_probability, expected)
    if name != "grad-cam":  # the constant model has no feature map
        unsure = make(name, constant, toy_spec).explain(toy.image, 1)
        assert unsure.low_confidence.all()
        assert (unsure.saliency == 0).all()


@pytest.mark.parametrize(
    ("change", "target", "ids", "message"),
    [
        (lambda x: x[:, :, :20], 1, None, r"needs images \(B, 1, 28, 28\), found \(3, 1, 20, 28\)"),
        (lambda x: x[:0], 1, None, "needs images"),
        (lambda x: x * float("nan"), 1, None, "NaN or infinity"),
        (lambda x: (x * 255).to(torch.uint8), 1, None, "torch.uint8"),
        (lambda x: x, 2, None, r"one target in 0\.\.1 .* found 2"),
        (lambda x: x, torch.tensor([0, 1]), None, "for each of 3 images"),
        (lambda x: x, 1, ["a"], "3 images, 1 ids"),
    ],
)
def test_bad_input_is_named(name, small_cnn, toy, toy_spec, change, target, ids, message):
    with pytest.raises(InputError, match=message):
        make(name, small_cnn, toy_spec).attribute(change(toy.image), target, image_ids=ids)


def test_logits_that_are_not_finite_are_an_error(name, small_cnn, toy, toy_spec):
    with torch.no_grad():
        small_cnn[-1].weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="NaN or infinity"):
        make(name, small_cnn, toy_spec).attribute(toy.image, 1)


def test_unknown_explainer_is_named(small_cnn, toy_spec):
    with pytest.raises(InputError, match=r"Did you mean 'grad-cam'\? Allowed: "):
        create("gradcam", small_cnn, toy_spec)


@pytest.mark.parametrize("optimizer", ["line-search", "nag"])
def test_default_steps_are_stable(conv_square, toy, toy_spec, recwarn, optimizer):
    create("igos++", conv_square, toy_spec, optimizer=optimizer, iterations=2, ig_steps=4).attribute(toy.image[:1], 1)
    assert not [warning for warning in recwarn.list if "unstable" in str(warning.message)]
