"""How the iGOS family moves its masks: backtracking line search, or Nesterov steps of fixed length."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pipeline.explain.igos_objective import Objective

ARMIJO = 1e-4
"""Share of the predicted decrease that a step must realise."""
SHRINK = 0.2
"""Factor by which a refused step is shortened."""
SHORTEST = 1e-5
"""A step below this is taken without being tried."""


@dataclass
class Trace:
    """What happened in each iteration, (B,) tensors in order: objective before the step, length of the step taken."""

    objectives: list[Tensor] = field(default_factory=list)
    steps: list[Tensor] = field(default_factory=list)


def line_search(objective: Objective, masks: Tensor, gradient: Tensor, start: float) -> tuple[Tensor, Tensor]:
    """Longest accepted step per image among ``start * SHRINK**k``; images that accepted take no part in later trials.

    Args:
        objective: evaluated with fresh noise at every trial, so with noise the Armijo test is stochastic.
        masks: (B, m, s, s).
        gradient: same shape; all masks of an image share one step.
        start: first trial.

    Returns:
        steps (B,) and the objective at `masks` (B,).
    """
    active = torch.arange(len(masks), device=masks.device)
    steps = torch.full((len(masks),), start, dtype=masks.dtype, device=masks.device)
    decrease = ARMIJO * gradient.flatten(1).square().sum(dim=1)
    before = objective.value(masks, active)
    while len(active):
        after = objective.value(_descend(masks[active], gradient[active], steps[active]), active)
        refused = active[after > before[active] - steps[active] * decrease[active]]
        steps[refused] *= SHRINK
        active = refused[steps[refused] >= SHORTEST]
    return steps, before


def _descend(masks: Tensor, gradient: Tensor, steps: Tensor) -> Tensor:
    return (masks - steps[:, None, None, None] * gradient).clamp_(0, 1)


def descend_by_line_search(
    objective: Objective, masks: Tensor, *, step_size: float, iterations: int, trace: Trace
) -> Tensor:
    """Masks (B, m, s, s) after `iterations` steps, each as long as `line_search` allows."""
    everyone = torch.arange(len(masks), device=masks.device)
    for _ in range(iterations):
        gradient = objective.gradient(masks, everyone)
        steps, before = line_search(objective, masks, gradient, step_size)
        masks = _descend(masks, gradient, steps)
        trace.objectives.append(before)
        trace.steps.append(steps)
    return masks


def descend_by_nesterov(
    objective: Objective, masks: Tensor, *, step_size: float, iterations: int, trace: Trace
) -> Tensor:
    """Masks (B, m, s, s) after `iterations` Nesterov steps (Jiang, Khorram, Li, BMVC 2023); the first one is plain.

    ``y_t = M - step * g;  M = clamp(y_t + t/(t+3) (y_t - y_{t-1}), 0, 1)``, y itself is not clamped.
    """
    everyone = torch.arange(len(masks), device=masks.device)
    previous = torch.zeros_like(masks)
    for iteration in range(iterations):
        ahead = masks - step_size * objective.gradient(masks, everyone)
        masks = (ahead + iteration / (iteration + 3) * (ahead - previous)).clamp_(0, 1)
        previous = ahead
        trace.steps.append(torch.full((len(masks),), step_size, dtype=masks.dtype))
    return masks


def stable_step(size: int, l2: float) -> float:
    """Longest fixed step that the smoothness term tolerates: its curvature is at most ``16 * l2 / size**2``."""
    return size**2 / (16 * l2) if l2 > 0 else float("inf")
