"""The optimiser: known answers on toy classifiers, and its promises about steps, noise, batches and the model."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pipeline.errors import InputError
from pipeline.explain import deletion_insertion, optimize_mask
from pipeline.explain.frozen import frozen
from pipeline.explain.igos import IgosSettings, run_optimization
from pipeline.explain.igos_descent import Descent, Trace, descend_by_nesterov
from pipeline.explain.scorer import Scorer
from pipeline.randomness import torch_generator

ALL = ["igos", "igos+", "igos++"]


def run(model, toy, images=slice(None), *, generator=None, max_batch=20, **options):
    image, baseline = toy.image[images], toy.baseline[images]
    scorer = Scorer(model, torch.ones(len(image), dtype=torch.int64), score="probability", batch_size=max_batch)
    settings = IgosSettings(**{"ig_steps": 15, "iterations": 20, **options})
    with frozen(model):
        return run_optimization(scorer, image, baseline, settings, generator=generator)


@pytest.mark.parametrize("variant", ALL)
@pytest.mark.parametrize(("optimizer", "step"), [("line-search", 1000.0), ("nag", 1.0)])
def test_constant_model_keeps_everything(constant, toy, variant, optimizer, step):
    mask = run(constant, toy, variant=variant, optimizer=optimizer, step_size=step, iterations=4).mask
    assert torch.equal(mask, torch.ones(3, 1, 28, 28))


@pytest.mark.parametrize(("variant", "evidence"), [("igos", 0.09), ("igos+", 0.05), ("igos++", 0.0)])
def test_reference_fixture(square_mean, toy, inside, variant, evidence):
    """Numbers of docs/methods.md section 1.8, made by an independent numpy implementation."""
    mask = run(square_mean, toy, slice(1), variant=variant).mask
    means = {name: mask[0, 0][place].mean().item() for name, place in inside.items()}
    assert inside["evidence"].flatten()[mask.argmin()]
    assert means["evidence"] == pytest.approx(evidence, abs=0.05)
    assert means["decoy"] == pytest.approx(1.0, abs=0.02)
    assert means["background"] == pytest.approx(0.97, abs=0.02)
    curves = deletion_insertion(square_mean, toy.image[:1], toy.baseline[:1], 1 - mask, 1, official=True)
    assert curves.deletion_auc.item() == pytest.approx(0.154, abs=0.02)
    assert curves.insertion_auc.item() == pytest.approx(0.975, abs=0.02)


def test_insertion_mask_alone_finds_the_evidence(square_mean, toy, inside):
    insertion_mask = run(square_mean, toy, slice(1)).parts[0, 1]
    assert inside["evidence"].flatten()[insertion_mask.argmin()]
    assert insertion_mask[inside["evidence"]].mean() < 0.5
    assert insertion_mask[inside["decoy"]].mean() > 0.9


@pytest.mark.parametrize("variant", ALL)
def test_line_search_steps_are_shrunk_starts_and_the_objective_never_rises(square_mean, toy, variant):
    trace = run(square_mean, toy, variant=variant, noise_std=0.0).trace
    powers = torch.log(torch.stack(trace.steps) / 1000.0) / torch.log(torch.tensor(0.2))
    torch.testing.assert_close(powers, powers.round(), atol=1e-3, rtol=0)
    assert powers.max() <= 12
    objectives = torch.stack(trace.objectives)
    searched_out = torch.stack(trace.steps)[:-1] < 1e-5
    assert ((objectives.diff(dim=0) <= 1e-6) | searched_out).all()
    assert (objectives[-1] < objectives[0] - 0.1).all()


class _Slope:
    """Stands in for an objective: a gradient that only depends on how often it was asked."""

    def __init__(self):
        self.calls = 0

    def gradient(self, masks, which):
        self.calls += 1
        return torch.full_like(masks, 0.1 * self.calls)


def test_nesterov_by_hand():
    masks = torch.full((1, 1, 1, 1), 0.9)
    # t=0: y0 = 0.9 - 0.1 = 0.8, momentum 0 -> 0.8. t=1: y1 = 0.8 - 0.2 = 0.6, + 1/4 (0.6 - 0.8) -> 0.55.
    # t=2: y2 = 0.55 - 0.3 = 0.25, + 2/5 (0.25 - 0.6) -> 0.11
    for iterations, expected in ((1, 0.8), (2, 0.55), (3, 0.11)):
        found = descend_by_nesterov(_Slope(), masks, Descent(1.0, iterations), Trace())
        assert found.item() == pytest.approx(expected, abs=1e-6)


def test_nag_is_not_the_line_search(square_mean, toy):
    found = [run(square_mean, toy, slice(1), optimizer=name, step_size=1.0).mask for name in ("line-search", "nag")]
    assert (found[0] - found[1]).abs().max() > 0.05


def test_unstable_nag_step_warns(square_mean, toy):
    with pytest.warns(UserWarning, match=r"at most 2\.45"):
        run(square_mean, toy, slice(1), optimizer="nag", step_size=2.5, iterations=1)


def test_stable_nag_step_does_not_warn(square_mean, toy, recwarn):
    run(square_mean, toy, slice(1), optimizer="nag", step_size=2.4, iterations=1)
    assert not recwarn.list


def test_same_generator_same_mask_other_generator_other_mask(square_mean, toy):
    masks = [run(square_mean, toy, slice(1), generator=torch_generator(s)).mask for s in (1, 1, 2)]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


@pytest.mark.parametrize("variant", ALL)
def test_batch_gives_what_each_image_gives_alone(small_cnn, toy, variant):
    options = {"variant": variant, "size": 14, "iterations": 5, "ig_steps": 6}
    ids = ["a", "b", "c"]
    together = run(small_cnn, toy, generator=[torch_generator(name) for name in ids], **options)
    for number, name in enumerate(ids):
        alone = run(small_cnn, toy, slice(number, number + 1), generator=[torch_generator(name)], **options)
        torch.testing.assert_close(together.mask[number], alone.mask[0], atol=1e-5, rtol=0)
        assert together.forward[number] == alone.forward[0]


def test_small_calls_give_the_same_mask(small_cnn, toy):
    masks = [run(small_cnn, toy, max_batch=size, iterations=3, size=14).mask for size in (4, 15, 200)]
    torch.testing.assert_close(masks[0], masks[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(masks[2], masks[1], atol=1e-5, rtol=0)


def test_no_call_is_larger_than_max_batch(small_cnn, toy):
    sizes = []
    small_cnn.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    run(small_cnn, toy, max_batch=7, iterations=1, size=14)
    assert max(sizes) == 7


def test_costs_are_counted_as_the_model_sees_them(small_cnn, toy):
    seen = {True: 0, False: 0}

    def count(_, inputs, __):
        seen[torch.is_grad_enabled()] += len(inputs[0])

    small_cnn.register_forward_hook(count)
    result = run(small_cnn, toy, iterations=2, size=14)
    assert int(result.backward.sum()) == seen[True] == 3 * 2 * 4 * 15
    assert int(result.forward.sum()) == seen[True] + seen[False]


def test_model_is_left_as_it_was_even_after_an_error(small_cnn, toy):
    small_cnn[0].weight.grad = torch.ones_like(small_cnn[0].weight)
    small_cnn[3].weight.requires_grad_(False)
    small_cnn[1].eval()
    before = copy.deepcopy(small_cnn)
    weights = [parameter.data_ptr() for parameter in small_cnn.parameters()]
    run(small_cnn, toy, iterations=1, size=14)
    with pytest.raises(RuntimeError):
        optimize_mask(small_cnn, toy.image.expand(-1, 2, -1, -1), toy.baseline.expand(-1, 2, -1, -1), 1)
    for module, old in zip(small_cnn.modules(), before.modules(), strict=True):
        assert module.training == old.training
        assert not module._forward_hooks
        assert not module._backward_hooks
    for parameter, old in zip(small_cnn.parameters(), before.parameters(), strict=True):
        assert parameter.requires_grad == old.requires_grad
        assert torch.equal(parameter, old)
    for name, buffer in small_cnn.named_buffers():
        assert torch.equal(buffer, dict(before.named_buffers())[name])
    assert torch.equal(small_cnn[0].weight.grad, torch.ones_like(small_cnn[0].weight))
    assert all(parameter.grad is None for name, parameter in small_cnn.named_parameters() if name != "0.weight")
    assert weights == [parameter.data_ptr() for parameter in small_cnn.parameters()]


def test_global_random_state_is_not_touched(square_mean, toy):
    before = torch.random.get_rng_state()
    run(square_mean, toy, slice(1), iterations=1)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "igos+++"}, "Did you mean 'igos"),
        ({"optimizer": "adam"}, "Allowed: line-search, nag"),
        ({"size": 29}, "finer than the 28 x 28 image"),
        ({"iterations": 0}, "iterations must be positive"),
        ({"generator": []}, "3 images need as many generators, found 0"),
    ],
)
def test_bad_options_are_named(square_mean, toy, options, message):
    with pytest.raises(InputError, match=message.replace("+", r"\+")):
        run(square_mean, toy, **options)


def test_image_and_baseline_must_match(square_mean, toy):
    with pytest.raises(InputError, match=r"found \(3, 1, 28, 28\) and \(2, 1, 28, 28\)"):
        optimize_mask(square_mean, toy.image, toy.baseline[:2], 1)


def test_colour_images(toy):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    image = toy.image.expand(-1, 3, -1, -1)
    mask = optimize_mask(model, image, toy.baseline.expand(-1, 3, -1, -1), torch.tensor([0, 1, 1]), iterations=2)
    assert mask.shape == (3, 1, 28, 28)
    assert (mask >= 0).all()
    assert (mask <= 1).all()
