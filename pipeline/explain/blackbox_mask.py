"""Black-box mask optimisation: Thakur and Fischmeister, ICPR 2020 (arXiv 2006.09504), first part.

A coarse binary mask wanders: a visible cell stays visible with the probability p that the classifier gives the masked
image, a hidden one becomes visible with 1 - p. Masks that keep the class last, the others turn into their opposite;
what was visible most of the time is what matters. Written from the update rule of the authors' released code; their
uninitialised accumulator (and the retries it needs) is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Unpack

import torch
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError, did_you_mean
from pipeline.explain.blending import blended_scores
from pipeline.explain.contract import Explainer, Maps, Query, Settings
from pipeline.explain.random_masks import GridMasks, check_grid

Mode = Literal["parallel", "official", "paper"]

GRID = 8
"""Cells a side."""
VISIBLE_AT_START = 0.3
"""Probability that a cell is visible in the first mask."""
FLOOR = 0.96
"""So many times its mean is subtracted from the accumulated mask (k of the authors' script; 1 in their notebook)."""


@dataclass(frozen=True)
class _Preset:
    """Chains and iterations, whether the background is network input 0, and whether the map's maximum becomes 1."""

    chains: int
    iterations: int
    published: bool


PRESETS: dict[Mode, _Preset] = {
    "parallel": _Preset(chains=50, iterations=100, published=False),
    "official": _Preset(chains=1, iterations=5000, published=True),
    "paper": _Preset(chains=50, iterations=100, published=True),
}


class BlackBoxMask(Explainer):
    """How often each pixel was visible, averaged over chains and iterations, less 0.96 of the mean, cut at 0.

    Modes:

    * ``parallel`` (ours): the official update in 50 independent chains of 100 iterations, as many evaluations as the
      official 5000 but in batches. A single chain *freezes* when p comes near 1: nothing changes any more, and cells
      without influence keep their random state, which in the average looks like evidence. Many chains average it
      out. The map is in units of visibility: unlike a map stretched to maximum 1, it is flat where nothing matters.
    * ``official``: one chain of 5000 iterations, one evaluation after the other (several images advance together).
      The masked input is ``mask * x``, that is, baseline "zero"; the map is divided by its maximum.
    * ``paper``: a reconstruction. Only a figure gives this update, ``M_i <- M_i dp + V M_(i-1)``, V = total variation
      of M_(i-1), then "revise the on and off cells"; the released code has nothing of it. We read it thus: the
      visible cells wander by the rule above, and what is added up instead of them is ``W_i = m dp + V W_(i-1)``, where
      m is the mask just looked at, dp how much p rose with it, and V the mean absolute difference of m's neighbouring
      cells, in [0, 1] so that the memory fades. (The indices of the figure can also mean the mask drawn after; on
      the linear toy of the tests that finds the cells that matter less than half as well.) Chains as in ``parallel``,
      since this chain freezes too; baseline and maximum as in ``official``.

    The terms with `eta` change values by at most 2 %: in the released code both of its branches (dp < 0 and not)
    are algebraically the same, so the sign of dp does not matter. We keep the update and its only effect.

    Notes: ``unchanged`` (B,), the share of iterations after which the same cells were visible as before; near 1 means
    frozen chains, whose map should not be trusted if they are few.
    """

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        *,
        mode: Mode = "parallel",
        chains: int | None = None,
        iterations: int | None = None,
        grid: int = GRID,
        eta: float = 0.02,
        use_tv: bool = True,
        **settings: Unpack[Settings],
    ) -> None:
        """Bind to `model`.

        Args:
            model: classifier returning logits, or any function.
            spec: its contract.
            mode: which update and map, see the class.
            chains: independent masks of each image; the mode's number by default.
            iterations: steps and evaluations of each chain; the mode's number by default.
            grid: cells a side of the mask.
            eta: the "learning rate" of the released code; no part of the mode paper.
            use_tv: in the mode paper, carry ``V W_(i-1)`` over; no part of the other modes.
            settings: see `Settings`; only the probability can be explained.

        Raises:
            InputError: unknown mode, no chain or iteration, a grid that does not fit the image, or another score.
        """
        if mode not in PRESETS:
            raise InputError(f"blackbox-mask has no mode {mode!r}. {did_you_mean(mode, PRESETS)}")
        preset = PRESETS[mode]
        if preset.published:
            settings.setdefault("baseline", "zero")
        super().__init__(model, spec, **settings)
        self._chains = preset.chains if chains is None else chains
        self._iterations = preset.iterations if iterations is None else iterations
        if self._chains < 1 or self._iterations < 1:
            raise InputError(
                f"blackbox-mask needs a chain and an iteration, found {self._chains} and {self._iterations}."
            )
        if self.score != "probability":
            raise InputError(f"blackbox-mask explains the score 'probability' only, found {self.score!r}.")
        self._grid = check_grid(grid, spec.input_size)
        self._published, self._paper = preset.published, mode == "paper"
        self._step = partial(paper_step, use_tv=use_tv) if self._paper else partial(official_step, eta=eta)

    def _maps(self, query: Query) -> Maps:
        images, grids = query.images, GridMasks(self._grid, query.images)
        baseline = self.baseline(images)
        draws = _Draws([self.generator(image_id) for image_id in query.image_ids], self._chains, grids, images)
        chain = Chain.start((draws.uniform() > 1 - VISIBLE_AT_START).to(images))
        offsets = draws.offsets()
        total = torch.zeros_like(images[:, :1])
        unchanged = images.new_zeros(len(images))

        def masks(which: Tensor, number: Tensor) -> Tensor:
            return grids.masks(chain.cells[which, number], offsets[which, number])

        for _ in range(self._iterations):
            probability = blended_scores(query, baseline, masks, self._chains)
            previous, chain = chain, self._step(chain, probability, draws.uniform())
            unchanged += same_visible(previous.cells, chain.cells).mean(dim=1)
            looked, offsets = offsets, draws.offsets()
            # The released code adds up the new mask, where it is looked at next; the paper's weights judge the old one.
            places = looked if self._paper else offsets
            total += torch.stack([grids.total(*image) for image in zip(chain.weights, places, strict=True)])
        return Maps(
            finished(total / (self._chains * self._iterations), stretch=self._published),
            {"unchanged": unchanged / self._iterations},
        )


@dataclass(frozen=True)
class Chain:
    """Where all chains of all images stand.

    Attributes:
        cells: what the classifier looks at, (B, R, s, s); 0 = hidden.
        weights: what the map adds up, (B, R, s, s).
        probability: of the target when it last looked, (B, R).
    """

    cells: Tensor
    weights: Tensor
    probability: Tensor

    @classmethod
    def start(cls, cells: Tensor) -> Chain:
        """Before the first look; the released code starts with probability 0."""
        return cls(cells, cells, torch.zeros_like(cells[..., 0, 0]))


def retained(cells: Tensor, probability: Tensor, uniform: Tensor) -> Tensor:
    """The next mask, 0 or 1: visible cells stay with `probability`, hidden ones appear with 1 - `probability`.

    Args:
        cells: present mask (..., s, s); 0 = hidden.
        probability: of the target for that mask (...).
        uniform: random numbers in [0, 1), (..., s, s).
    """
    share = probability[..., None, None]
    return torch.where(cells > 0, uniform > 1 - share, uniform > share).to(cells)


def official_step(chain: Chain, probability: Tensor, uniform: Tensor, *, eta: float) -> Chain:
    """The released update: `retained`, then values that fell grow by eta |dp| and values that rose shrink by it."""
    drawn = retained(chain.cells, probability, uniform)
    change = (probability - chain.probability).abs()[..., None, None]
    cells = drawn * (1 - eta * change * torch.sign(drawn - chain.cells))
    return Chain(cells, cells, probability)


def paper_step(chain: Chain, probability: Tensor, uniform: Tensor, *, use_tv: bool) -> Chain:
    """The paper's symbolic update as we read it, see `BlackBoxMask`."""
    weights = chain.cells * (probability - chain.probability)[..., None, None]
    if use_tv:
        weights = weights + total_variation(chain.cells)[..., None, None] * chain.weights
    return Chain(retained(chain.cells, probability, uniform), weights, probability)


def total_variation(cells: Tensor) -> Tensor:
    """Mean absolute difference (...) of cells (..., s, s) that are neighbours down or across."""
    differences = [cells.diff(dim=axis).abs().flatten(-2) for axis in (-2, -1)]
    return torch.cat(differences, dim=-1).mean(dim=-1)


def same_visible(one: Tensor, other: Tensor) -> Tensor:
    """1 where two masks (..., s, s) show the same cells, else 0, (...)."""
    return ((one > 0) == (other > 0)).flatten(-2).all(dim=-1).to(one)


def finished(average: Tensor, *, stretch: bool) -> Tensor:
    """The map of an average mask (B, 1, H, W): `FLOOR` times its mean subtracted, cut at 0, maximum 1 if `stretch`."""
    above = (average - FLOOR * average.mean(dim=(2, 3), keepdim=True)).clamp_min(0)
    if not stretch:
        return above
    return above / above.amax(dim=(2, 3), keepdim=True).clamp_min(torch.finfo(above.dtype).tiny)


class _Draws:
    """Random numbers for all chains, each image's from its own generator (on the CPU, so all devices agree)."""

    def __init__(self, generators: Sequence[torch.Generator], chains: int, grids: GridMasks, like: Tensor) -> None:
        self._generators, self._chains, self._grids, self._like = generators, chains, grids, like

    def uniform(self) -> Tensor:
        """(B, R, s, s) in [0, 1)."""
        shape = (self._chains, self._grids.grid, self._grids.grid)
        return torch.stack([torch.rand(shape, generator=each) for each in self._generators]).to(self._like)

    def offsets(self) -> Tensor:
        """(B, R, 2), int64."""
        draws = [self._grids.offsets(self._chains, each) for each in self._generators]
        return torch.stack(draws).to(self._like.device)
