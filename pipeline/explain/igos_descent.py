"""How the iGOS family moves its masks: backtracking line search, or Nesterov steps of fixed length."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.explain.igos_objective import Objective

ARMIJO = 1e-4
"""Share of the predicted decrease that a step must realise."""
SHRINK = 0.2
"""Factor by which a refused step is shortened."""
SHORTEST = 1e-5
"""A step below this is taken without being tried."""
PATIENCE = 2
"""Iterations in a row that must bring too little before an image counts as converged."""
ADAPT_L1 = ((2.0, 0.001, 10.0), (1.25, 0.01, 5.0))
"""Rule of the 2019 code: at iteration T / first, if the probability moved by at most second, l1 is divided by third."""


@dataclass
class Trace:
    """What happened in each iteration, (B,) tensors in order: objective before the step, length of the step taken.

    Images that have converged keep their last objective and have step 0.
    """

    objectives: list[Tensor] = field(default_factory=list)
    steps: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class Descent:
    """How far and how often to go.

    Attributes:
        step_size: first trial of the line search, or the fixed step of Nesterov's method.
        iterations: steps taken, at most.
        warm_start: the search starts one size above the step that was accepted last, not at `step_size`.
        tolerance: an image leaves when `PATIENCE` steps in a row lower its objective by less than this; 0 never.
        adaptive_l1: relax the sparsity of images whose probability does not move, as the 2019 code does.
    """

    step_size: float = 1000.0
    iterations: int = 15
    warm_start: bool = False
    tolerance: float = 0.0
    adaptive_l1: bool = False


class Search(NamedTuple):
    """Outcome of a line search, (n,) each: step, objective before it and after it (NaN: untried)."""

    steps: Tensor
    before: Tensor
    after: Tensor


def line_search(
    objective: Objective, masks: Tensor, gradient: Tensor, which: Tensor, start: Tensor, before: Tensor
) -> Search:
    """Longest accepted step per image among ``start * SHRINK**k``; images that accepted take no part in later trials.

    Args:
        objective: evaluated with fresh noise at every trial, so with noise the Armijo test is stochastic.
        masks: (n, m, s, s).
        gradient: same shape; all masks of an image share one step.
        which: numbers (n,) of the images.
        start: first trial (n,).
        before: objective at `masks` (n,).
    """
    active = torch.arange(len(masks), device=masks.device)
    steps, after = start.clone(), torch.full_like(before, torch.nan)
    decrease = ARMIJO * gradient.flatten(1).square().sum(dim=1)
    while len(active):
        found = objective.value(_descend(masks[active], gradient[active], steps[active]), which[active])
        after[active] = found
        refused = active[found > before[active] - steps[active] * decrease[active]]
        steps[refused] *= SHRINK
        after[refused] = torch.nan
        active = refused[steps[refused] >= SHORTEST]
    return Search(steps, before, after)


def _descend(masks: Tensor, gradient: Tensor, steps: Tensor) -> Tensor:
    return (masks - steps[:, None, None, None] * gradient).clamp_(0, 1)


def descend_by_line_search(objective: Objective, masks: Tensor, how: Descent, trace: Trace) -> Tensor:
    """Masks (B, m, s, s) after at most `how.iterations` steps, each as long as `line_search` allows."""
    count = len(masks)
    active = torch.arange(count, device=masks.device)
    first = masks.new_full((count,), how.step_size)
    known, value = masks.new_full((count,), torch.nan), masks.new_zeros(count)
    idle = torch.zeros(count, dtype=torch.int64, device=masks.device)
    sparsity = _AdaptiveSparsity(objective, how, masks) if how.adaptive_l1 else None
    for iteration in range(how.iterations):
        if sparsity is not None and sparsity.relax(iteration, masks):
            known.fill_(torch.nan)
        gradient = objective.gradient(masks[active], active)
        before = known[active]
        unknown = before.isnan()
        if unknown.any():
            before[unknown] = objective.value(masks[active][unknown], active[unknown])
        search = line_search(objective, masks[active], gradient, active, first[active], before)
        masks = masks.index_copy(0, active, _descend(masks[active], gradient, search.steps))
        value[active] = search.before
        trace.objectives.append(value.clone())
        trace.steps.append(torch.zeros_like(value).index_copy(0, active, search.steps))
        if how.warm_start:
            longer = (search.steps / SHRINK).clamp(max=how.step_size)
            # A search without success says that this gradient was no good, not that the next one needs tiny steps.
            first[active] = torch.where(search.steps < SHORTEST, how.step_size, longer)
        if objective.repeatable:
            known[active] = search.after
        gained = search.before - search.after >= how.tolerance  # NaN, an exhausted search, has gained nothing
        idle[active] = torch.where(gained, 0, idle[active] + 1)
        if how.tolerance > 0:
            active = active[idle[active] < PATIENCE]
            if not len(active):
                break
    return masks


def descend_by_nesterov(objective: Objective, masks: Tensor, how: Descent, trace: Trace) -> Tensor:
    """Masks (B, m, s, s) after `how.iterations` Nesterov steps (Jiang, Khorram, Li, BMVC 2023); the first one is plain.

    ``y_t = M - step * g;  M = clamp(y_t + t/(t+3) (y_t - y_{t-1}), 0, 1)``, y itself is not clamped.
    """
    everyone = torch.arange(len(masks), device=masks.device)
    previous = torch.zeros_like(masks)
    for iteration in range(how.iterations):
        ahead = masks - how.step_size * objective.gradient(masks, everyone)
        masks = (ahead + iteration / (iteration + 3) * (ahead - previous)).clamp_(0, 1)
        previous = ahead
        trace.steps.append(masks.new_full((len(masks),), how.step_size))
    return masks


class _AdaptiveSparsity:
    """The 2019 code's watch over the probability of the masked image."""

    def __init__(self, objective: Objective, how: Descent, masks: Tensor) -> None:
        self._objective = objective
        self._rules = {int(how.iterations / share): (moved, divisor) for share, moved, divisor in ADAPT_L1}
        self._everyone = torch.arange(len(masks), device=masks.device)
        self._first = objective.probability(masks, self._everyone)

    def relax(self, iteration: int, masks: Tensor) -> bool:
        """Divide the l1 weight of the images that need it; whether there was one."""
        if iteration not in self._rules:
            return False
        moved, divisor = self._rules[iteration]
        stuck = (self._objective.probability(masks, self._everyone) - self._first).abs() <= moved
        self._objective.l1[stuck] /= divisor
        return bool(stuck.any())


def stable_step(size: int, l2: float) -> float:
    """Longest fixed step that the smoothness term tolerates: its curvature is at most ``16 * l2 / size**2``."""
    return size**2 / (16 * l2) if l2 > 0 else float("inf")
