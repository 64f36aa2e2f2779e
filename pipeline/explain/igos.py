"""I-GOS, iGOS+ and iGOS++: the smallest smooth mask whose removal destroys a class score.

Written from the papers (see `igos_objective`) and agreeing with the authors' implementation to rounding;
`tests/golden` holds the comparison.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.errors import InputError, did_you_mean
from pipeline.explain.frozen import frozen, target_tensor
from pipeline.explain.igos_descent import Trace, descend_by_line_search, descend_by_nesterov, stable_step
from pipeline.explain.igos_objective import VARIANTS, Objective, PathScore
from pipeline.randomness import torch_generator

OPTIMIZERS = {"line-search": descend_by_line_search, "nag": descend_by_nesterov}
_ALIASES = {"LS": "line-search", "NAG": "nag"}

Generators = torch.Generator | Sequence[torch.Generator] | None


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
    variant: str = "igos++",
    size: int = 28,
    optimizer: str = "line-search",
    step_size: float = 1000.0,
    l1: float = 1.0,
    l2: float = 20.0,
    ig_steps: int = 20,
    iterations: int = 15,
    noise_std: float = 0.2,
    generator: Generators = None,
    max_batch: int | None = None,
) -> Tensor:
    """Mask (B, 1, size, size) in [0, 1], 1 = kept, 0 = the evidence for `target`.

    Args:
        model: classifier returning logits (B, classes); left exactly as it was.
        image: network input (B, C, H, W).
        baseline: the same images without evidence, usually heavily blurred (`baseline.blurred_baseline`).
        target: class per image (B,) or one for all; the score is its softmax probability.
        variant: igos, igos+ or igos++.
        size: side of the mask, at most that of the image.
        optimizer: "line-search" (also "LS") or "nag" (also "NAG").
        step_size: first trial of the line search, or the fixed step of NAG, which should then stay
            below ``size**2 / (16 * l2)``.
        l1: weight of the mean of ``1 - mask``.
        l2: weight of the (bilateral) total variation.
        ig_steps: points on the path from the baseline.
        iterations: steps taken.
        noise_std: of the noise on the network input, in its own units; fresh in every evaluation.
        generator: source of that noise: one per image, or one from which one per image is derived, or None
            for a fixed one per image. With one per image, images do not influence each other.
        max_batch: most images in one call of the model; bounds memory. By default 20 on CPU, 256 elsewhere.

    Raises:
        InputError: shapes disagree, or a value is outside what is allowed.

    Warns:
        UserWarning: NAG with a step too long to be stable.
    """
    return run_optimization(
        model,
        image,
        baseline,
        target,
        variant=variant,
        size=size,
        optimizer=optimizer,
        step_size=step_size,
        l1=l1,
        l2=l2,
        ig_steps=ig_steps,
        iterations=iterations,
        noise_std=noise_std,
        generator=generator,
        max_batch=max_batch,
    ).mask


def run_optimization(
    model: nn.Module,
    image: Tensor,
    baseline: Tensor,
    target: Tensor | int,
    *,
    variant: str,
    size: int,
    optimizer: str,
    step_size: float,
    l1: float,
    l2: float,
    ig_steps: int,
    iterations: int,
    noise_std: float,
    generator: Generators,
    max_batch: int | None = None,
) -> MaskRun:
    """`optimize_mask` with everything that is known at the end; same arguments and errors."""
    descend = OPTIMIZERS[_choice("optimizer", _ALIASES.get(optimizer, optimizer), OPTIMIZERS)]
    chosen = VARIANTS[_choice("variant", variant, VARIANTS)]
    _check_images(image, baseline, size)
    _check_positive(size=size, ig_steps=ig_steps, iterations=iterations, step_size=step_size)
    if descend is descend_by_nesterov and step_size > stable_step(size, l2):
        warnings.warn(
            f"NAG with step {step_size:g} is unstable: a {size} x {size} mask with l2={l2:g} tolerates at most "
            f"{stable_step(size, l2):.3g}. Shorten the step or use the line search.",
            stacklevel=3,
        )
    score = PathScore(
        model,
        image,
        baseline,
        target_tensor(target, image),
        terms=chosen.terms,
        steps=ig_steps,
        noise_std=noise_std,
        generators=_per_image(generator, image),
        max_batch=max_batch or (20 if image.device.type == "cpu" else 256),
    )
    trace = Trace()
    with frozen(model):
        parts = descend(
            Objective(chosen, score, image, l1=l1, l2=l2),
            image.new_ones((len(image), chosen.masks, size, size)),
            step_size=step_size,
            iterations=iterations,
            trace=trace,
        )
    return MaskRun(parts.prod(dim=1, keepdim=True), parts, trace, score.forward, score.backward)


def _choice(what: str, found: str, allowed: Mapping[str, object]) -> str:
    if found not in allowed:
        raise InputError(f"Unknown {what} {found!r}. {did_you_mean(found, allowed)}")
    return found


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


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if value <= 0:
            raise InputError(f"{name} must be positive, found {value}.")


def _per_image(generator: Generators, image: Tensor) -> Sequence[torch.Generator]:
    if generator is None:
        return [torch_generator("igos-noise", device=image.device) for _ in image]
    if isinstance(generator, torch.Generator):
        seeds = torch.randint(2**62, (len(image),), generator=generator, device=generator.device).tolist()
        return [torch_generator("igos-noise", seed, device=image.device) for seed in seeds]
    if len(generator) != len(image):
        raise InputError(f"{len(image)} images need as many generators, found {len(generator)}.")
    return generator
