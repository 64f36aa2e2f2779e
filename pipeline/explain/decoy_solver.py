"""The search for decoys: as different inside a patch as an early layer leaves room for.

Lu, Guo, Xing and Noble, "DANCE: Enhancing saliency maps using decoys", ICML 2021 (arXiv 2002.00526): for a patch
and a sign s of +1 or -1

    maximise  ||((x' - x) s)^+||_1   over x' in the box of legal values
    so that   ||F_l(x') - F_l(x)||_inf <= epsilon   and   x' = x outside the patch

Their solver is in an appendix that we could not read; known are a patch size, a layer, an initial Lagrange multiplier
and that Carlini and Wagner are cited. So the solver here is a reconstruction in the manner of Carlini and Wagner's
attack for the maximum norm (2017, section VI.C): tanh keeps the box, the constraint is a sum of hinges (the maximum
itself passes a gradient to one unit only), Adam, a multiplier that doubles. What differs, and why:

* They lower the tolerance tau from a large value by 0.9 until an attack fails. Here the tolerance is given, and coming
  down to it from the drift of a random patch, 100 epsilon, costs 45 rounds: tau starts one notch below epsilon, 0.9.
* A step of Adam moves every pixel of the patch at once, and drifts add up: 0.1 on tanh's scale moves the layer by tens
  of epsilon. Steps are therefore in units of what moves it by epsilon, and shrink by `_COOLING` a round.
* The additional bound by the change of the explanation under attack (their proposition on robustness) is left out: it
  needs a constant and an attack that the text does not give.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from pipeline.explain.stem import Stem

_TOLERANCE = 0.9
"""Tau, as a share of epsilon."""
_COOLING = 0.8
"""Factor on the learning rate after each round."""
_INSIDE = 0.999
"""The search starts at most here on tanh's scale of -1..1: at its ends the slope is 0."""
_UNEVEN = 0.5
"""Neighbours start apart by this share of a step. If all start alike, a layer that sees their mean moves them alike,
and none finds that it may rise as far as its neighbour falls."""
_HALVINGS = 12
"""Trials of `pull_back`: the share of the way that it keeps is found to 2^-12."""


@dataclass(frozen=True)
class DecoyOptions:
    """How decoys are searched. The paper's constants are unknown; these are ours.

    Attributes:
        epsilon: how much a unit of the layer may change, as a share of the standard deviation of the layer's
            activations for the image.
        inner_steps: steps of Adam in a round.
        rounds: at most. A problem that ends a round within epsilon is solved; for the others the multiplier doubles.
        learning_rate: of Adam; 1 is the step that moves the layer by epsilon if all pixels go the wanted way.
        multiplier: of the constraint at first (lambda), in units where activations have standard deviation 1 and
            the box has width 1.
    """

    epsilon: float = 0.02
    inner_steps: int = 100
    rounds: int = 10
    learning_rate: float = 0.25
    multiplier: float = 3.0


@dataclass(frozen=True)
class Problem:
    """P problems.

    Attributes:
        window: the part of the image that matters (P, C, h, w).
        inside: the patch in it, bool (P, 1, h, w).
        sign: +1 or -1, (P, 1, 1, 1).
        low: least legal value (P, 1, 1, 1).
        high: largest legal value (P, 1, 1, 1).
        epsilon: allowed change of a unit of the layer (P,).
        spread: standard deviation of the layer's activations (P,).
    """

    window: Tensor
    inside: Tensor
    sign: Tensor
    low: Tensor
    high: Tensor
    epsilon: Tensor
    spread: Tensor

    def __getitem__(self, rows: Tensor) -> Problem:
        return Problem(*(getattr(self, each.name)[rows] for each in fields(self)))

    def gain(self, candidates: Tensor) -> Tensor:
        """The objective (P,) at `candidates` (P, C, h, w)."""
        return ((candidates - self.window) * self.sign).clamp_min(0).flatten(1).sum(1)


def search_decoys(stem: Stem, problem: Problem, options: DecoyOptions) -> tuple[Tensor, Tensor]:
    """The best windows (P, C, h, w) met that keep the constraint, and the steps it took (P,)."""
    with torch.no_grad():
        # Without the constraint the answer is the end of the box. If the layer does not notice, nothing is to be done.
        ends = torch.where(problem.inside, torch.where(problem.sign > 0, problem.high, problem.low), problem.window)
        reference = stem(problem.window)
        best, _ = pull_back(stem, problem.window, reference, ends, problem.epsilon)
    unsolved = (best != ends).flatten(1).any(1).nonzero().flatten()
    way = (best - problem.window).abs().flatten(1).sum(1) / (ends - problem.window).abs().flatten(1).sum(1)
    scale = column(way.nan_to_num().clamp_min(2.0**-_HALVINGS))
    moves = problem.sign * (1 + _UNEVEN * _checkerboard(problem.window))
    multiplier = torch.full_like(problem.epsilon, options.multiplier)
    steps = torch.zeros(len(best), dtype=torch.int64, device=best.device)
    for number in range(options.rounds):
        if len(unsolved) == 0:
            break
        rate = options.learning_rate * _COOLING**number
        part = _Round(stem, problem[unsolved], reference[unsolved], scale[unsolved], multiplier[unsolved])
        moves[unsolved], best[unsolved], within = part.run(moves[unsolved], best[unsolved], options.inner_steps, rate)
        multiplier[unsolved] *= 2
        steps[unsolved] += options.inner_steps
        unsolved = unsolved[~within]
    return best, steps


def _checkerboard(like: Tensor) -> Tensor:
    """+1 and -1 by turns, (h, w)."""
    rows, columns = (torch.arange(side, device=like.device) for side in like.shape[-2:])
    return 1.0 - 2 * ((rows[:, None] + columns) % 2)


class _Round:
    """Some steps of Adam on P problems. `moves` are tanh's argument, relative to the image, in units of `scale`."""

    def __init__(self, stem: Stem, problem: Problem, reference: Tensor, scale: Tensor, multiplier: Tensor) -> None:
        self.stem, self.problem, self.scale, self.multiplier = stem, problem, scale, multiplier
        self.reference = reference.flatten(1)
        self.width = problem.high - problem.low
        self.start = torch.atanh(((problem.window - problem.low) / self.width * 2 - 1).clamp(-_INSIDE, _INSIDE))

    def run(self, moves: Tensor, best: Tensor, steps: int, rate: float) -> tuple[Tensor, Tensor, Tensor]:
        """Last moves, best windows that keep the constraint, and whether the last ones do (P,)."""
        problem = self.problem
        best_gain = problem.gain(best)
        leaf = moves.clone().requires_grad_()
        adam = torch.optim.Adam([leaf], lr=rate)
        within = torch.zeros_like(best_gain, dtype=torch.bool)
        for _ in range(steps):
            with torch.enable_grad():
                candidates = self._candidates(leaf)
                drift = (self.stem(candidates).flatten(1) - self.reference).abs()
                gain = problem.gain(candidates)
                excess = (drift - _TOLERANCE * problem.epsilon[:, None]).clamp_min(0).sum(1)
                penalty = self.multiplier * excess / problem.spread.clamp_min(torch.finfo(excess.dtype).tiny)
                (leaf.grad,) = torch.autograd.grad((penalty - gain / self.width.flatten()).sum(), leaf)
            adam.step()
            within = drift.detach().amax(1) <= problem.epsilon
            better = within & (gain.detach() > best_gain)
            best_gain = torch.where(better, gain.detach(), best_gain)
            best = torch.where(column(better), candidates.detach(), best)
        return leaf.detach(), best, within

    def _candidates(self, moves: Tensor) -> Tensor:
        share = (torch.tanh(self.start + 2 * self.scale * moves) + 1) / 2
        return torch.where(self.problem.inside, self.problem.low + self.width * share, self.problem.window)


def pull_back(stem: Stem, originals: Tensor, reference: Tensor, decoys: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
    """Decoys moved towards their originals until no unit changes more than `limit` (P,), and their drift (P,).

    `reference` are the activations of the originals. Bisection; what is returned was tested itself, or is the original.
    """
    drift = _drift(stem, reference, decoys)
    rows = (~(drift <= limit)).nonzero().flatten()  # NaN is not within either
    if len(rows) == 0:
        return decoys, drift
    start, way = originals[rows], decoys[rows] - originals[rows]
    kept, kept_drift = start, torch.zeros_like(drift[rows])
    share, step = torch.zeros_like(kept_drift), 0.5
    for _ in range(_HALVINGS):
        tried = start + column(share + step) * way
        moved = _drift(stem, reference[rows], tried)
        within = moved <= limit[rows]
        kept, kept_drift = torch.where(column(within), tried, kept), torch.where(within, moved, kept_drift)
        share, step = torch.where(within, share + step, share), step / 2
    return decoys.index_copy(0, rows, kept), drift.index_copy(0, rows, kept_drift)


def _drift(stem: Stem, reference: Tensor, decoys: Tensor) -> Tensor:
    """||F(x') - F(x)||_inf (P,)."""
    return (stem(decoys) - reference).abs().flatten(1).amax(1)


def column(values: Tensor) -> Tensor:
    """(P,) -> (P, 1, 1, 1)."""
    return values[:, None, None, None]
