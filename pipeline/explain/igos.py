"""I-GOS, iGOS+ and iGOS++: the smallest smooth mask whose removal destroys a class score.

Written from the papers (see `igos_objective`) and agreeing with the authors' implementation to rounding;
`tests/golden` holds the comparison.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import InputError, did_you_mean
from pipeline.explain.frozen import frozen, target_tensor
from pipeline.explain.igos_descent import (
    Descent,
    Trace,
    descend_by_line_search,
    descend_by_nesterov,
    stable_step,
)
from pipeline.explain.igos_objective import VARIANTS, LineSearchObjective, Objective
from pipeline.explain.igos_path import PathScore, Points
from pipeline.explain.scorer import Scorer, fitting_batch
from pipeline.randomness import torch_generator

OPTIMIZERS = {"line-search": descend_by_line_search, "nag": descend_by_nesterov}
_ALIASES = {"LS": "line-search", "NAG": "nag"}

Generators = torch.Generator | Sequence[torch.Generator] | None
SMALLEST_MASK = 2
"""Side below which there is no neighbour to be smooth with."""


@dataclass(frozen=True)
class IgosSettings:
    """Everything that decides a mask beside the image, the classifier and the noise. Defaults are the authors'.

    Attributes:
        variant: igos, igos+ or igos++.
        size: side of the mask, from 2 to the side of the image; the papers use 28 and 224.
        optimizer: "line-search" (also "LS") or "nag" (also "NAG").
        step_size: first trial of the line search, or the fixed step of NAG, which should then stay
            below ``size**2 / (16 * l2)``.
        l1: weight of the mean of ``1 - mask``.
        l2: weight of the (bilateral) total variation.
        ig_steps: points on the path from the baseline.
        iterations: steps taken, at most.
        noise_std: of the noise on the network input, in its own units; fresh in every evaluation of the path.
        points: where on the path, see `igos_path.Points`.
        ls_objective: what the line search compares, see `igos_objective.LineSearchObjective`.
        warm_start, tolerance, adaptive_l1: see `igos_descent.Descent`.
    """

    variant: str = "igos++"
    size: int = 28
    optimizer: str = "line-search"
    step_size: float = 1000.0
    l1: float = 1.0
    l2: float = 20.0
    ig_steps: int = 20
    iterations: int = 15
    noise_std: float = 0.2
    points: Points = "right"
    ls_objective: LineSearchObjective = "path"
    warm_start: bool = False
    tolerance: float = 0.0
    adaptive_l1: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "optimizer", _ALIASES.get(self.optimizer, self.optimizer))
        _check_choice("optimizer", self.optimizer, OPTIMIZERS)
        _check_choice("variant", self.variant, VARIANTS)
        _check_choice("points", self.points, ("right", "stratified"))
        _check_choice("ls_objective", self.ls_objective, ("path", "endpoint"))
        for name in ("ig_steps", "iterations", "step_size"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} must be positive, found {getattr(self, name)}.")
        for name in ("l1", "l2", "noise_std", "tolerance"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must not be negative, found {getattr(self, name)}.")
        if self.size < SMALLEST_MASK:
            raise InputError(f"A mask has at least {SMALLEST_MASK} x {SMALLEST_MASK} cells, found size {self.size}.")


@dataclass(frozen=True)
class MaskRun:
    """Result of one optimisation.

    Attributes:
        mask: (B, 1, s, s) in [0, 1], 1 = kept.
        parts: (B, m, s, s), the masks whose product it is; iGOS++: deletion mask, insertion mask.
        trace: objective and step of every iteration.
        forward: image evaluations by the model, per image (B,).
        backward: those followed by a backward pass, (B,).
    """

    mask: Tensor
    parts: Tensor
    trace: Trace
    forward: Tensor
    backward: Tensor


def optimize_mask(
    model: nn.Module,
    image: Tensor,
    baseline: Tensor,
    target: Tensor | int,
    *,
    generator: Generators = None,
    max_batch: int | None = None,
    **settings: Any,
) -> Tensor:
    """Mask (B, 1, size, size) in [0, 1], 1 = kept, 0 = the evidence for `target`.

    Args:
        model: classifier returning logits (B, classes); left exactly as it was.
        image: network input (B, C, H, W).
        baseline: the same images without evidence, usually heavily blurred (`baseline.blurred_baseline`).
        target: class per image (B,) or one for all; the score is its softmax probability.
        generator: source of the noise: one per image, or one from which one per image is derived, or None
            for a fixed one per image. With one per image, images do not influence each other.
        max_batch: most images in one call of the model; by default what fits into memory.
        settings: fields of `IgosSettings`.

    Raises:
        InputError: shapes disagree, or a setting is unknown or outside what is allowed.

    Warns:
        UserWarning: NAG with a step too long to be stable.
    """
    for name in settings:
        _check_choice("setting", name, IgosSettings.__dataclass_fields__)
    chosen = IgosSettings(**settings)
    classes = target_tensor(target, image)
    with frozen(model):
        scorer = Scorer(model, classes, score="probability", batch_size=max_batch or fitting_batch(model, image[:1]))
        return run_optimization(scorer, image, baseline, chosen, generator=generator).mask


def run_optimization(
    scorer: Scorer, image: Tensor, baseline: Tensor, settings: IgosSettings, *, generator: Generators = None
) -> MaskRun:
    """`optimize_mask` with everything that is known at the end; the model of `scorer` must be frozen.

    Raises:
        InputError: shapes disagree.
    """
    _check_images(image, baseline, settings.size)
    if settings.optimizer == "nag" and settings.step_size > stable_step(settings.size, settings.l2):
        warnings.warn(
            f"NAG with step {settings.step_size:g} is unstable: a {settings.size} x {settings.size} mask with "
            f"l2={settings.l2:g} tolerates at most {stable_step(settings.size, settings.l2):.3g}. "
            "Shorten the step or use the line search.",
            stacklevel=3,
        )
    variant = VARIANTS[settings.variant]
    score = PathScore(
        scorer,
        image,
        baseline,
        terms=variant.terms,
        steps=settings.ig_steps,
        points=settings.points,
        noise_std=settings.noise_std,
        generators=_per_image(generator, image),
    )
    objective = Objective(variant, score, image, l1=settings.l1, l2=settings.l2, compared=settings.ls_objective)
    how = Descent(
        settings.step_size, settings.iterations, settings.warm_start, settings.tolerance, settings.adaptive_l1
    )
    trace = Trace()
    start = image.new_ones((len(image), variant.masks, settings.size, settings.size))
    parts = OPTIMIZERS[settings.optimizer](objective, start, how, trace)
    return MaskRun(parts.prod(dim=1, keepdim=True), parts, trace, scorer.forward, scorer.backward)


def _check_choice(what: str, found: str, allowed: Sequence[str] | Mapping[str, object]) -> None:
    if found not in allowed:
        raise InputError(f"Unknown {what} {found!r}. {did_you_mean(found, allowed)}")


def _check_images(image: Tensor, baseline: Tensor, size: int) -> None:
    if image.dim() != 4 or image.shape != baseline.shape:
        raise InputError(
            "image and baseline must both be (B, C, H, W) of one shape, "
            f"found {tuple(image.shape)} and {tuple(baseline.shape)}."
        )
    if size > min(image.shape[-2:]):
        raise InputError(
            f"A {size} x {size} mask is finer than the {image.shape[-2]} x {image.shape[-1]} image. "
            "Choose a smaller size."
        )


def _per_image(generator: Generators, image: Tensor) -> Sequence[torch.Generator]:
    if generator is None:
        return [torch_generator("igos-noise", device=image.device) for _ in image]
    if isinstance(generator, torch.Generator):
        seeds = torch.randint(2**62, (len(image),), generator=generator, device=generator.device).tolist()
        return [torch_generator("igos-noise", seed, device=image.device) for seed in seeds]
    if len(generator) != len(image):
        raise InputError(f"{len(image)} images need as many generators, found {len(generator)}.")
    return generator
