"""What the iGOS family minimises: path-averaged scores of masked images plus a smoothness regulariser.

I-GOS: Qi, Khorram, Li, AAAI 2020 (arXiv 1905.00954). iGOS+ and iGOS++: Khorram, Lawson, Li, ACM CHIL 2021
(arXiv 2012.15783). Mask values are 1 where the evidence is kept and 0 where it is taken out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as functional
from torch import Tensor

from pipeline.explain.igos_path import PathScore, Term

EDGE_SCALE = 0.01
"""Sigma of the bilateral weights: exp(-(difference of neighbouring pixels)^2 / EDGE_SCALE)."""


@dataclass(frozen=True)
class Variant:
    """A member of the family.

    Attributes:
        masks: how many masks are optimised; the result is their product.
        terms: the score, summed.
        bilateral: smoothness by bilateral total variation, which lets the mask jump at image edges.
    """

    masks: int
    terms: tuple[Term, ...]
    bilateral: bool


DELETE, INSERT = False, True
VARIANTS: dict[str, Variant] = {
    "igos": Variant(1, (Term(DELETE, (0,)),), bilateral=False),
    "igos+": Variant(1, (Term(DELETE, (0,)), Term(INSERT, (0,))), bilateral=True),
    "igos++": Variant(
        2, (Term(DELETE, (0,)), Term(INSERT, (1,)), Term(DELETE, (0, 1)), Term(INSERT, (0, 1))), bilateral=True
    ),
}


def upsample(masks: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, corners aligned: (B, m, s, s) -> (B, m, H, W). Linear in `masks`."""
    return functional.interpolate(masks, size=tuple(size), mode="bilinear", align_corners=True)


def total_variation(masks: Tensor) -> Tensor:
    """Mean squared vertical plus mean squared horizontal neighbour difference of (B, 1, s, s), shape (B,)."""
    return _mean(masks.diff(dim=2).square()) + _mean(masks.diff(dim=3).square())


def _mean(values: Tensor) -> Tensor:
    return values.flatten(1).mean(dim=1)


class BilateralVariation:
    """Total variation of the mask and of the upsampled mask, the latter forgiven across image edges.

    The two directions treat colour differently, as in the authors' code: vertically the channels are averaged
    before squaring, horizontally after the exponential. On grey images both are the same.
    """

    def __init__(self, image: Tensor) -> None:
        """Weights for `image` (B, C, H, W), in the normalisation that the network sees."""
        self._size = image.shape[-2:]
        self._vertical = torch.exp(-image.diff(dim=2).mean(dim=1, keepdim=True).square() / EDGE_SCALE)
        self._horizontal = torch.exp(-image.diff(dim=3).square() / EDGE_SCALE).mean(dim=1, keepdim=True)

    def __call__(self, masks: Tensor, which: Tensor) -> Tensor:
        """Shape (n,) for `masks` (n, 1, s, s) of the images numbered `which` (n,)."""
        large = upsample(masks, self._size)
        across = _mean(self._vertical[which] * large.diff(dim=2).square())
        along = _mean(self._horizontal[which] * large.diff(dim=3).square())
        return 0.5 * (total_variation(masks) + across + along)


LineSearchObjective = Literal["path", "endpoint"]
"""What the line search compares: "path" the noisy path average that is optimised (2021 code), "endpoint" the
probabilities of the fully masked images without noise (2019 code), S times cheaper and repeatable."""


class Objective:
    """Score plus regulariser of one variant, for masks (n, m, s, s) of the images numbered `which` (n,).

    Attributes:
        l1: weight of the sparsity, one per image (B,); the descent may relax it.
        repeatable: whether `value` gives the same number again for the same masks.
    """

    def __init__(
        self,
        variant: Variant,
        score: PathScore,
        image: Tensor,
        *,
        l1: float,
        l2: float,
        compared: LineSearchObjective = "path",
    ) -> None:
        self._variant = variant
        self._score = score
        self._size = image.shape[-2:]
        self.l1 = image.new_full((len(image),), l1)
        self._l2 = l2
        self._bilateral = BilateralVariation(image) if variant.bilateral else None
        self._compared = compared
        self.repeatable = compared == "endpoint"

    def value(self, masks: Tensor, which: Tensor) -> Tensor:
        """What the line search compares, per image (n,): the full sum of all score terms plus the regulariser."""
        with torch.no_grad():
            measure = self._score.values if self._compared == "path" else self._score.endpoints
            scores = measure(self._term_masks(masks), which)
            return scores @ self._signs(masks) + self._regulariser(masks, which)

    def probability(self, masks: Tensor, which: Tensor) -> Tensor:
        """Target probability of the image with its evidence taken out by the first mask, per image (n,)."""
        with torch.no_grad():
            return self._score.endpoints(self._term_masks(masks)[:, :1], which)[:, 0]

    def gradient(self, masks: Tensor, which: Tensor) -> Tensor:
        """Descent direction's negative (n, m, s, s): score gradient averaged over the masks, plus the regulariser's.

        With two masks the score part is halved against the regulariser, unlike in `value`; so do the authors.
        """
        leaf = masks.detach().requires_grad_()
        up = self._term_masks(leaf)
        slopes = self._score.gradient(up.detach(), which) * self._signs(masks)[:, None, None]
        # Term by term, as the authors accumulate it: the line search can hang on the last bit.
        pulls = [
            torch.autograd.grad(mask, leaf, slope, retain_graph=True)[0]
            for mask, slope in zip(up.unbind(dim=1), slopes.unbind(dim=1), strict=True)
        ]
        score_part = torch.stack(pulls).sum(dim=0)
        (smooth_part,) = torch.autograd.grad(self._regulariser(leaf, which).sum(), leaf)
        return score_part / self._variant.masks + smooth_part

    def _signs(self, masks: Tensor) -> Tensor:
        return masks.new_tensor([term.sign for term in self._variant.terms])

    def _term_masks(self, masks: Tensor) -> Tensor:
        large = upsample(masks, self._size)
        return torch.stack([large[:, list(term.masks)].prod(dim=1) for term in self._variant.terms], dim=1)

    def _regulariser(self, masks: Tensor, which: Tensor) -> Tensor:
        product = masks.prod(dim=1, keepdim=True)
        smooth = total_variation(product) if self._bilateral is None else self._bilateral(product, which)
        return self.l1[which] * _mean((1 - product).abs()) + self._l2 * smooth
