"""The battery every explainer passes. Joining the registry means joining these tests."""

from __future__ import annotations

import copy

import pytest
import torch

from pipeline.errors import InputError, ModelError
from pipeline.explain import available, create, deletion_insertion
from pipeline.explain.registry import method

DECOYS = {"patch": 14, "inner_steps": 8, "rounds": 2}
QUICK = {
    "igos": {"ig_steps": 8, "iterations": 8},
    "igos+": {"ig_steps": 8, "iterations": 8},
    "igos++": {"ig_steps": 8, "iterations": 8},
    "igos++-fast": {"ig_steps": 5, "iterations": 8},
    "smoothgrad": {"samples": 8},
    "integrated-gradients": {"steps": 8},
    "expected-gradients": {"samples": 16},
    "sp": {"stride": 2},
    "sp-g": {"stride": 2},
    "lime": {"samples": 100},
    "lime-g": {"samples": 100},
    "mp": {"iterations": 30, "start": "circle"},
    "mp-g": {"iterations": 30, "start": "circle"},
    # The evidence is 36 units of equal strength of 1568, more than the strongest 2 %: ties, of which none would pass.
    "rectgrad": {"percentile": 95.0},
    "rectgrad-no-input": {"percentile": 95.0},
    "blackbox-mask": {"chains": 40, "iterations": 8},
    "rise": {"masks": 300},
    "occlusion": {"window": 4},
    "dance:gradient": DECOYS,
    "dance:integrated-gradients": {**DECOYS, "base_options": {"steps": 4}},
    "dance:smoothgrad": {**DECOYS, "base_options": {"samples": 4}},
    "extremal-perturbation": {"areas": (0.05, 0.1), "iterations": 15},
}
"""Cheaper settings for these 28 x 28 images, where the defaults take long."""
CHANCE_SPREAD: dict[str, float] = {
    "blackbox-mask": 0.1,  # of visibility; a third of it at the default settings
}
"""How far the map of a model that sees nothing may vary, for methods that sample masks at random."""
METHODS = [name for name in available() if not method(name).trivial]


def make(name, model, spec, **options):
    return create(name, model, spec, **{**QUICK.get(name, {}), **options})


@pytest.fixture(params=available())
def name(request):
    return request.param


@pytest.mark.parametrize("name", METHODS)
def test_finds_the_evidence_and_not_the_decoy(name, conv_square, toy, toy_spec, inside):
    maps = make(name, conv_square, toy_spec).attribute(toy.image, 1)
    for saliency in maps[:, 0]:
        assert inside["evidence"].flatten()[saliency.argmax()]
        assert saliency[inside["evidence"]].mean() > 3 * saliency[inside["decoy"]].mean()


@pytest.mark.parametrize("name", METHODS)
def test_dark_evidence_is_found_unless_the_map_is_multiplied_by_the_input(
    name, dark_square, dark_toy, toy_spec, inside
):
    maps = make(name, dark_square, toy_spec).attribute(dark_toy.image, 1)
    for saliency in maps[:, 0]:
        if method(name).input_factor:
            assert saliency[inside["evidence"]].abs().max() == 0  # the documented blindness
        else:
            assert inside["evidence"].flatten()[saliency.argmax()]
            assert saliency[inside["evidence"]].mean() > 3 * saliency[inside["decoy"]].mean()


@pytest.mark.parametrize("name", METHODS)
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
    found = explainer.explain(toy.image, torch.tensor([0, 1, 1]))
    assert found.saliency.shape == (3, 1, 28, 28)
    assert found.saliency.dtype == torch.float32
    assert not found.saliency.requires_grad
    assert all(len(note) == 3 for note in found.info.values())
    assert found.forward.shape == found.backward.shape == (3,)
    assert (found.forward >= found.backward).all()
    assert explainer.evaluations.forward == found.forward.sum()
    if method(name).trivial:
        assert found.forward.sum() == 0
    else:
        assert (found.forward > 0).all()
        assert (found.backward > 0).all() == (method(name).needs != "outputs")


def test_map_depends_on_the_image_its_id_and_the_seed_only(name, small_cnn, toy, toy_spec):
    explainer = make(name, small_cnn, toy_spec)
    together = explainer.attribute(toy.image, 1, image_ids=["a", "b", "c"])
    reversed_order = explainer.attribute(toy.image.flip(0), 1, image_ids=["c", "b", "a"]).flip(0)
    torch.testing.assert_close(together, reversed_order, atol=1e-5, rtol=1e-5)
    assert torch.equal(together, explainer.attribute(toy.image, 1, image_ids=["a", "b", "c"]))
    unnamed = explainer.attribute(toy.image, 1)
    torch.testing.assert_close(unnamed[1:2], explainer.attribute(toy.image[1:2], 1), atol=1e-5, rtol=1e-5)


def test_batch_size_changes_nothing(name, small_cnn, toy, toy_spec):
    one, all_together = (
        make(name, small_cnn, toy_spec, batch_size=size).explain(toy.image, 1, image_ids=["a", "b", "c"])
        for size in (1, 64)
    )
    torch.testing.assert_close(one.saliency, all_together.saliency, atol=1e-5, rtol=1e-4)
    assert torch.equal(one.forward, all_together.forward)


def test_running_out_of_memory_halves_the_batch(name, small_cnn, toy, toy_spec):
    """The classifier refuses more than two images at a time, as an accelerator does that is too small."""
    expected = make(name, small_cnn, toy_spec).attribute(toy.image, 1, image_ids=["a", "b", "c"])

    def refuse(_, inputs):
        if len(inputs[0]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    explainer = make(name, small_cnn, toy_spec, batch_size=16)
    small_cnn[0].register_forward_pre_hook(refuse)
    found = explainer.attribute(toy.image, 1, image_ids=["a", "b", "c"])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_model_is_left_as_it_was(name, small_cnn, toy, toy_spec):
    before = copy.deepcopy(small_cnn)
    global_state = torch.random.get_rng_state()
    make(name, small_cnn, toy_spec).attribute(toy.image, 1)
    assert torch.equal(global_state, torch.random.get_rng_state())
    for module, old in zip(small_cnn.modules(), before.modules(), strict=True):
        assert type(module) is type(old)
        assert module.training == old.training
        assert "forward" not in vars(module)
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
            assert not getattr(module, kind)
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


def test_low_confidence_is_flagged(name, conv_square, toy, toy_spec):
    sure = make(name, conv_square, toy_spec).explain(toy.image, 1)
    assert not sure.low_confidence.any()
    expected = torch.softmax(conv_square(toy.baseline), dim=1)[:, 1].detach()
    torch.testing.assert_close(sure.baseline_probability, expected)


@pytest.mark.parametrize("name", METHODS)
def test_no_place_stands_out_to_a_model_that_is_blind(name, blind_network, toy, toy_spec):
    found = make(name, blind_network, toy_spec).explain(toy.image, 1)
    assert found.low_confidence.all()
    assert found.saliency.amax() - found.saliency.amin() <= CHANCE_SPREAD.get(name, 1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_the_other_class_is_explained_by_something_else(name, conv_square, toy, toy_spec, inside):
    """The bright square speaks against class 0: no method may call it the best evidence for it with its sign."""
    for_one, for_zero = (make(name, conv_square, toy_spec).attribute(toy.image[:1], target) for target in (1, 0))
    assert not torch.equal(for_one, for_zero) or (for_one >= 0).all()
    assert for_zero[0, 0][inside["evidence"]].mean() <= for_one[0, 0][inside["evidence"]].mean() + 1e-6


@pytest.mark.parametrize(
    ("change", "target", "ids", "message"),
    [
        (lambda x: x[:, :, :20], 1, None, r"needs images \(B, 1, 28, 28\), found \(3, 1, 20, 28\)"),
        (lambda x: x.expand(-1, 3, -1, -1), 1, None, r"found \(3, 3, 28, 28\)"),
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


@pytest.mark.parametrize("name", METHODS)
def test_logits_that_are_not_finite_are_an_error(name, small_cnn, toy, toy_spec):
    with torch.no_grad():
        small_cnn[-1].weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="NaN or infinity"):
        make(name, small_cnn, toy_spec).attribute(toy.image, 1)


def test_a_function_will_do_where_outputs_are_enough(name, conv_square, toy, toy_spec):
    def probabilities(images):
        with torch.no_grad():
            return torch.softmax(conv_square(images), dim=1)

    if method(name).needs == "outputs":
        from pipeline.explain import CallableClassifier

        wrapped = CallableClassifier(probabilities, returns="probabilities")
        torch.testing.assert_close(
            make(name, wrapped, toy_spec).attribute(toy.image, 1, image_ids=["a", "b", "c"]),
            make(name, conv_square, toy_spec).attribute(toy.image, 1, image_ids=["a", "b", "c"]),
            atol=1e-4,
            rtol=1e-3,
        )
    else:
        with pytest.raises(InputError, match=r"a function has none\. Use one of: "):
            make(name, probabilities, toy_spec)


if torch.cuda.is_available():

    def test_cpu_and_gpu_agree(name, small_cnn, toy, toy_spec):
        here = make(name, small_cnn, toy_spec).attribute(toy.image, 1, image_ids=["a", "b", "c"])
        there = make(name, copy.deepcopy(small_cnn).cuda(), toy_spec)
        found = there.attribute(toy.image.cuda(), 1, image_ids=["a", "b", "c"]).cpu()
        assert torch.corrcoef(torch.stack([here.flatten(), found.flatten()]))[0, 1] > 0.95


def test_unknown_explainer_is_named(small_cnn, toy_spec):
    with pytest.raises(InputError, match=r"Did you mean 'grad-cam'\?"):
        create("gradcam", small_cnn, toy_spec)


def test_unknown_option_is_named(small_cnn, toy_spec):
    with pytest.raises(InputError, match="grad-cam: got an unexpected keyword argument 'colour'"):
        create("grad-cam", small_cnn, toy_spec, colour="red")


@pytest.mark.parametrize("optimizer", ["line-search", "nag"])
def test_default_steps_are_stable(conv_square, toy, toy_spec, recwarn, optimizer):
    create("igos++", conv_square, toy_spec, optimizer=optimizer, iterations=2, ig_steps=4).attribute(toy.image[:1], 1)
    assert not [warning for warning in recwarn.list if "unstable" in str(warning.message)]
