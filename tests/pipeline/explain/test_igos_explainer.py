"""Presets, reproduced bugs, notes and warnings of the iGOS family."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from pipeline.errors import InputError
from pipeline.explain import blurred_baseline, create, deletion_insertion
from pipeline.explain.frozen import frozen
from pipeline.explain.igos import IgosSettings, run_optimization
from pipeline.explain.igos_descent import Descent, _AdaptiveSparsity
from pipeline.explain.igos_explainer import COMPAT, LowConfidenceWarning
from pipeline.explain.igos_objective import VARIANTS, Objective
from pipeline.explain.igos_path import PathScore, Term
from pipeline.explain.scorer import Scorer
from pipeline.randomness import torch_generator

IDS = ["a", "b", "c"]


def explain(model, spec, images, **options):
    return create("igos++", model, spec, **options).explain(images, 1, image_ids=IDS[: len(images)])


def test_swapped_counts_are_reproduced_on_request(square_mean, toy, toy_spec):
    counts = {"iterations": 3, "ig_steps": 5, "optimizer": "nag"}
    plain = explain(square_mean, toy_spec, toy.image, **counts)
    swapped = explain(square_mean, toy_spec, toy.image, **counts, compat=["swapped-counts"])
    assert plain.info["steps"].shape == (3, 3)
    assert swapped.info["steps"].shape == (3, 5)
    meant = explain(square_mean, toy_spec, toy.image, iterations=5, ig_steps=3, optimizer="nag")
    assert torch.equal(swapped.saliency, meant.saliency)


def test_line_search_whatever_was_asked_is_reproduced_on_request(square_mean, toy, toy_spec):
    nag, stubborn, search = (
        explain(square_mean, toy_spec, toy.image, iterations=3, ig_steps=5, optimizer=optimizer, compat=compat)
        for optimizer, compat in (("nag", ()), ("nag", "always-line-search"), ("line-search", ()))
    )
    assert torch.equal(stubborn.saliency, search.saliency)
    assert not torch.equal(nag.saliency, search.saliency)


def test_official_means_every_bug(square_mean, toy, toy_spec):
    options = {"iterations": 3, "ig_steps": 5, "optimizer": "nag"}
    official, listed = (explain(square_mean, toy_spec, toy.image, **options, compat=c) for c in ("official", COMPAT))
    assert torch.equal(official.saliency, listed.saliency)
    with pytest.raises(InputError, match="Unknown compat flag 'swaped'"):
        create("igos++", square_mean, toy_spec, compat=["swaped"])


def test_notes_say_how_healthy_the_mask_is(square_mean, toy, toy_spec):
    found = explain(square_mean, toy_spec, toy.image, iterations=4, ig_steps=5)
    share = (found.saliency > 0.5).float().flatten(1).mean(dim=1)  # mask and image have the same 28 x 28 cells
    torch.testing.assert_close(found.info["removed_share"], share)
    assert found.info["objective"].shape == found.info["steps"].shape == (3, 4)
    assert (found.info["objective"][:, -1] < found.info["objective"][:, 0]).all()


def test_warning_when_blurring_costs_the_class_nothing(square_mean, constant, toy, toy_spec):
    with pytest.warns(LowConfidenceWarning, match=r"blurring 3 of 3 images costs the explained class less than 0\.1"):
        explain(constant, toy_spec, toy.image, iterations=1, ig_steps=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LowConfidenceWarning)
        explain(square_mean, toy_spec, toy.image, iterations=1, ig_steps=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "faster"}, r"Unknown preset 'faster'\. Did you mean 'fast'"),
        ({"ls_objective": "end"}, "Unknown ls_objective 'end'"),
        ({"points": "left"}, "Unknown points 'left'"),
        ({"size": 1}, "at least 2 x 2 cells, found size 1"),
        ({"iterations": 0}, "iterations must be positive, found 0"),
        ({"l1": -1.0}, r"l1 must not be negative, found -1\.0"),
        ({"score": "logit"}, "made for probabilities"),
    ],
)
def test_impossible_settings_are_named(square_mean, toy_spec, options, message):
    with pytest.raises(InputError, match=message):
        create("igos++", square_mean, toy_spec, **options)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [7, 28])
def test_masks_from_seven_cells_to_full_resolution(square_mean, toy, toy_spec, inside, variant, size):
    maps = create(variant, square_mean, toy_spec, size=size, iterations=8, ig_steps=8).attribute(toy.image, 1)
    for saliency in maps[:, 0]:
        assert inside["evidence"].flatten()[saliency.argmax()]
        assert saliency[inside["evidence"]].mean() > 3 * saliency[inside["decoy"]].mean()


def test_endpoint_search_evaluates_the_four_masked_images_once_a_trial(square_mean, toy, toy_spec):
    found = explain(square_mean, toy_spec, toy.image, iterations=6, ig_steps=5, ls_objective="endpoint")
    trials = 1 + (found.info["steps"] / 1000).log().div(math.log(0.2)).round().long().clamp(max=11)
    # The objective at the start is needed once; later ones are known from the accepted trial, unless there was none.
    unknown = 1 + (found.info["steps"][:, :-1] < 1e-5).sum(dim=1)
    assert found.forward.tolist() == (4 * (6 * 5 + trials.sum(dim=1) + unknown)).tolist()
    assert found.backward.tolist() == [120, 120, 120]


def test_warm_start_tries_one_size_above_the_last_step(square_mean, toy, toy_spec):
    options = {"iterations": 8, "ig_steps": 5, "ls_objective": "endpoint"}
    warm = explain(square_mean, toy_spec, toy.image, **options, warm_start=True)
    steps = warm.info["steps"]
    assert (steps[:, 1:] <= 5 * steps[:, :-1] * (1 + 1e-5)).all()
    assert (warm.forward < explain(square_mean, toy_spec, toy.image, **options).forward).all()


def test_a_converged_image_leaves_and_does_not_disturb_the_others(square_mean, toy, toy_spec):
    images = torch.cat([toy.image[:1], toy.baseline[1:2], toy.image[2:]])  # the blurred one has nothing to remove
    options = {"iterations": 15, "ig_steps": 5, "ls_objective": "endpoint", "tolerance": 1e-3}
    with pytest.warns(LowConfidenceWarning):
        together = explain(square_mean, toy_spec, images, **options)
    assert together.forward[1] < together.forward[0]
    assert (together.info["steps"][1, -3:] == 0).all()
    alone = create("igos++", square_mean, toy_spec, **options).explain(images[:1], 1, image_ids=["a"])
    torch.testing.assert_close(alone.saliency[0], together.saliency[0], atol=1e-5, rtol=0)
    assert alone.forward[0] == together.forward[0]


def test_stratified_points_lie_one_in_each_stretch_and_belong_to_the_image(square_mean, toy):
    def points(which):
        scorer = Scorer(square_mean, torch.ones(3, dtype=torch.int64), score="probability", batch_size=20)
        generators = [torch_generator("test", number) for number in range(3)]
        terms = (Term(False, (0,)), Term(True, (0,)))
        score = PathScore(
            scorer, toy.image, toy.baseline, terms=terms, steps=4, points="stratified", noise_std=0.0,
            generators=generators,
        )  # fmt: skip
        return score._alphas(torch.tensor(which))

    together = points([0, 1, 2])
    assert together.shape == (3, 2, 4)
    stretch = torch.arange(4) / 4
    assert ((together >= stretch) & (together <= stretch + 0.25)).all()
    assert torch.equal(points([2])[0], together[2])
    assert not torch.equal(together[0], together[1])


def test_adaptive_sparsity_relaxes_the_images_that_do_not_move(square_mean, toy):
    with frozen(square_mean):
        scorer = Scorer(square_mean, torch.ones(3, dtype=torch.int64), score="probability", batch_size=20)
        score = PathScore(
            scorer, toy.image, toy.baseline, terms=VARIANTS["igos"].terms, steps=4, points="right", noise_std=0.0,
            generators=[torch_generator("test", number) for number in range(3)],
        )  # fmt: skip
        objective = Objective(VARIANTS["igos"], score, toy.image, l1=1.0, l2=20.0)
        masks = torch.ones(3, 1, 28, 28)
        watch = _AdaptiveSparsity(objective, Descent(iterations=15), masks)
        masks[0] = 0.5  # the first image's probability has moved
        assert [watch.relax(iteration, masks) for iteration in range(15)] == [i in (7, 12) for i in range(15)]
    assert objective.l1.tolist() == pytest.approx([1.0, 0.02, 0.02])


def test_adaptive_sparsity_frees_a_mask_that_too_much_sparsity_holds(square_mean, toy):
    baseline = blurred_baseline(toy.image)
    means = []
    for adaptive in (False, True):
        with frozen(square_mean):
            scorer = Scorer(square_mean, torch.ones(3, dtype=torch.int64), score="probability", batch_size=20)
            settings = IgosSettings("igos", l1=100.0, adaptive_l1=adaptive, ig_steps=5, ls_objective="endpoint")
            means.append(run_optimization(scorer, toy.image, baseline, settings).mask.mean())
    assert means[1] < means[0]


def test_fast_preset_is_as_faithful_for_a_fifth_of_the_evaluations(square_mean, toy, toy_spec):
    full, fast = (explain(square_mean, toy_spec, toy.image, preset=preset) for preset in ("full", "fast"))
    assert full.forward.sum() + full.backward.sum() > 5 * (fast.forward.sum() + fast.backward.sum())
    scores = [deletion_insertion(square_mean, toy.image, toy.baseline, f.saliency, 1) for f in (full, fast)]
    assert (scores[1].deletion_auc - scores[0].deletion_auc).mean() < 0.01
    assert (scores[1].insertion_auc - scores[0].insertion_auc).mean() > -0.01
