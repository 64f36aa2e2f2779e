"""DANCE: how far a saliency map moves over images that an early layer cannot tell apart.

Lu, Guo, Xing and Noble, "DANCE: Enhancing saliency maps using decoys", ICML 2021 (arXiv 2002.00526).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Unpack

import torch
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError
from pipeline.explain.contract import Explainer, Maps, Query, Settings
from pipeline.explain.decoy_solver import DecoyOptions
from pipeline.explain.decoy_window import patch_grid
from pipeline.explain.decoys import DecoySearch, decoy_problems
from pipeline.explain.scorer import Score, Scorer
from pipeline.explain.stem import Stem
from pipeline.explain.whitebox import WhiteBoxExplainer

WINSOR = 0.95
"""Values above this quantile are cut to it before a map is scaled to [0, 1]."""
PATCHES_PER_SIDE = 8
"""By default a patch has 1/8 of the input's side. The paper's 3 x 3 pixels would take 11 000 decoys an image."""
TOGETHER = 16
"""Decoys that are searched together."""
_RESOLUTION = 1e-5
"""A range below this share of the largest value of a map is rounding, not range."""


class Dance(Explainer):
    """Range of the maps of another explainer over decoys of the image; values in [0, 1].

    ``Z = max over decoys E(x') - min over decoys E(x')`` with the sign of E, for 2 decoys of each patch (see `decoys`);
    the image itself is none of them. Then the paper's post-processing, see `normalised_map`.

    Where the explained score is linear in the image a gradient map is the same for all decoys and Z is 0, as the
    paper says. Rectifier networks are piecewise linear before their softmax, so the probability is explained unless
    told otherwise: its gradient moves with every decoy that moves the score.

    A long search amplifies the last bits of the activations, which hang on how many images are computed together. So
    the same `TOGETHER` decoys of one image always are, whatever the batch. Only a batch size below that (asked for, or
    left when memory runs out) can let a decoy end elsewhere; it keeps the constraint all the same.

    The search runs the first layers only, on a window around the patch. Each step is counted as one forward and one
    backward pass of an image all the same, which overstates the cost.

    Notes per image, in `Attribution.info`: ``decoys``, how many; ``epsilon``, the change allowed to a unit of the
    layer; ``max_drift``, the largest change that was made; ``stem_evaluations``, steps of the search; and, per decoy
    (B, decoys), ``drift``, ``gain`` (sum of the wanted changes), ``change`` (L1) and ``decoy_probability``.
    """

    default_score: ClassVar[Score] = "probability"

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        *,
        base: Explainer,
        layer: str | None = None,
        patch: int | None = None,
        epsilon: float = DecoyOptions.epsilon,
        inner_steps: int = DecoyOptions.inner_steps,
        rounds: int = DecoyOptions.rounds,
        learning_rate: float = DecoyOptions.learning_rate,
        **settings: Unpack[Settings],
    ) -> None:
        """Wrap `base`.

        Args:
            model: the classifier that `base` explains, too.
            spec: its contract.
            base: any explainer. Of a `WhiteBoxExplainer` the signed attributions are taken, of others the map.
            layer: named layer that decoys must leave alone; by default `stem.default_layer`.
            patch: side and stride of the patches, pixels; by default 1/8 of the smaller side of the input.
            epsilon: see `DecoyOptions`, like the next three.
            inner_steps: steps in a round.
            rounds: most rounds.
            learning_rate: of the search.
            **settings: see `Settings`.

        Raises:
            InputError: an option is out of range.
        """
        super().__init__(model, spec, **settings)
        self._base = base
        self._layer = layer
        self._patch = patch or max(1, round(min(spec.input_size) / PATCHES_PER_SIDE))
        self._search = DecoyOptions(epsilon, inner_steps, rounds, learning_rate)
        if not (0 < self._patch <= min(spec.input_size) and epsilon >= 0 and min(inner_steps, rounds) >= 1):
            raise InputError(
                f"DANCE needs a patch of 1 to {min(spec.input_size)} pixels, epsilon >= 0, inner_steps and "
                f"rounds >= 1; found {self._patch}, {epsilon}, {inner_steps} and {rounds}."
            )

    def _maps(self, query: Query) -> Maps:
        images, scorer = query.images, query.scorer
        stem = Stem(self.model, self._layer, images[:1])
        corners = patch_grid(self.spec.input_size, self._patch, self._patch)
        search = DecoySearch(stem, images, corners, self._patch, self.spec, self._search)
        extremes = _Extremes(len(images))

        def run(problems: Tensor, target: Tensor) -> tuple[Tensor, ...]:
            which = problems[:, 0]
            decoys = search.solve(*problems.unbind(1))
            extremes.add(self._base_maps(query, decoys.images, which, target), which)
            probability = Scorer(self.model, target, score="probability", batch_size=scorer.batch_size)
            return decoys.drift, decoys.gain, decoys.change, decoys.steps, probability.values(decoys.images)

        # Always the same decoys together, none of another image: a long search magnifies the last bits of a layer's
        # activations, which hang on the size of the batch.
        together = [
            part
            for own in decoy_problems(images, len(corners)).chunk(len(images))
            for part in torch.split(own, TOGETHER)
        ]
        # Counted here, because decoys take different numbers of steps: F(x), the check, the probability, the steps.
        parts = [scorer.apply(run, part, part[:, 0], forward=2, backward=0) for part in together]
        notes = (torch.cat(column).view(len(images), -1) for column in zip(*parts, strict=True))
        drift, gain, change, steps, probability = notes
        search_steps = steps.sum(dim=1)
        scorer.forward += search_steps.cpu() + 1
        scorer.backward += search_steps.cpu()
        info = {
            "decoys": torch.full((len(images),), drift.shape[1]),
            "epsilon": search.epsilon,
            "max_drift": drift.amax(dim=1),
            "stem_evaluations": search_steps,
            "drift": drift,
            "gain": gain,
            "change": change,
            "decoy_probability": probability,
        }
        return Maps(normalised_map(extremes.range()), info)

    def _base_maps(self, query: Query, decoys: Tensor, which: Tensor, target: Tensor) -> Tensor:
        """Maps E (P, C or 1, H, W) of decoys of the images `which`.

        All decoys of an image bear its id, so that a base that draws noise draws the same for each: otherwise the
        range over many decoys would be that of the noise.
        """
        scorer = Scorer(self.model, target, score=self._base.score, batch_size=query.scorer.batch_size)
        ids: Sequence[str] = [query.image_ids[index] for index in which.tolist()]
        asked = Query(decoys, target, ids, scorer)
        base = self._base
        maps = base.signed(asked) if isinstance(base, WhiteBoxExplainer) else base._maps(asked).saliency
        query.scorer.forward.index_add_(0, which.cpu(), scorer.forward)
        query.scorer.backward.index_add_(0, which.cpu(), scorer.backward)
        return maps.detach()


def decoy_range(maps: Tensor) -> Tensor:
    """Z (C, H, W) >= 0 of the signed maps (decoys, C, H, W) of one image, from whatever explainer they come.

    Where the range is below the resolution of the maps' numbers it is 0.
    """
    low, high = torch.aminmax(maps, dim=0)
    spread = high - low
    return spread.masked_fill(spread <= _RESOLUTION * maps.abs().amax(), 0)


def normalised_map(maps: Tensor) -> Tensor:
    """Maps (B, C, H, W) as the paper evaluates them: (B, 1, H, W) in [0, 1].

    Absolute value, largest of the channels, cut at the 95th percentile, scaled linearly. The percentile is that of the
    values above 0: of all values, it is 0 for a map with less than 5 % of its pixels above 0, which would vanish. For
    other maps the paper's text does not tell the two apart. A constant map becomes 0.
    """
    single = maps.abs().amax(dim=1, keepdim=True)
    scaled = torch.zeros_like(single)
    for row, values in zip(scaled, single, strict=True):
        positive = values[~(values <= 0)]  # with NaN, which must not be taken for nothing
        if len(positive):
            cut = values.clamp(max=torch.quantile(positive, WINSOR))
            lowest = cut.amin()
            row.copy_((cut - lowest) / (cut.amax() - lowest).clamp_min(torch.finfo(cut.dtype).tiny))
    return scaled


class _Extremes:
    """Smallest and largest maps so far, per image; decoys come and go in batches."""

    def __init__(self, images: int) -> None:
        self._maps: list[Tensor | None] = [None] * images

    def add(self, maps: Tensor, which: Tensor) -> None:
        for index in torch.unique(which).tolist():
            known, found = self._maps[index], maps[which == index]
            every = found if known is None else torch.cat([known, found])
            self._maps[index] = torch.stack(torch.aminmax(every, dim=0))

    def range(self) -> Tensor:
        """Z (B, C, H, W)."""
        return torch.stack([decoy_range(maps) for maps in self._maps if maps is not None])
