"""What the iGOS family minimises: path-averaged scores of masked images plus a smoothness regulariser.

I-GOS: Qi, Khorram, Li, AAAI 2020 (arXiv 1905.00954). iGOS+ and iGOS++: Khorram, Lawson, Li, ACM CHIL 2021
(arXiv 2012.15783). Mask values are 1 where the evidence is kept and 0 where it is taken out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from pipeline.explain.frozen import target_probability

EDGE_SCALE = 0.01
"""Sigma of the bilateral weights: exp(-(difference of neighbouring pixels)^2 / EDGE_SCALE)."""


@dataclass(frozen=True)
class Term:
    """One summand of the score: the mean probability along the path from `other` to `start`, as masks scale.

    Attributes:
        insertion: False: image masked towards the baseline, probability to be lowered;
            True: baseline masked towards the image (what the mask removes is shown), probability to be raised.
        masks: which masks are multiplied, after upsampling.
    """

    insertion: bool
    masks: tuple[int, ...]

    @property
    def sign(self) -> float:
        """+1 where the probability is minimised, -1 where it is maximised."""
        return -1.0 if self.insertion else 1.0


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


def blend(image: Tensor, baseline: Tensor, mask: Tensor) -> Tensor:
    """`image` where `mask` is 1, `baseline` where it is 0 (the operator Phi of the papers)."""
    return image * mask + baseline * (1 - mask)


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


class Path(NamedTuple):
    """A stretch of consecutive integration steps of one term for one image."""

    item: int
    """Position in the masks at hand."""
    image: int
    """Position in the whole batch."""
    term: int
    steps: slice


class PathScore:
    """Path-averaged probabilities A and their gradients with respect to the upsampled mask.

    For a path from `other` to `start` and a mask u::

        A(u) = 1/S sum_{k=1..S} p(start * a_k u + other * (1 - a_k u) + e_k),   a_k = k/S,  e_k ~ N(0, noise_std^2)

    with (start, other) = (image, baseline) for deletion and swapped for insertion. The steps of as many images and
    terms as `max_batch` allows go through the model together. Noise is drawn anew in every evaluation, input by
    input from the image's own generator, so it depends neither on the other images nor on `max_batch`.

    The order of floating-point operations is the authors': near convergence the line search hangs on the last bit.
    """

    def __init__(
        self,
        model: nn.Module,
        image: Tensor,
        baseline: Tensor,
        target: Tensor,
        *,
        terms: Sequence[Term],
        steps: int,
        noise_std: float,
        generators: Sequence[torch.Generator],
        max_batch: int,
    ) -> None:
        """`image`, `baseline` (B, C, H, W), `target` (B,) int64, one of `generators` per image."""
        self._model = model
        self._image = image
        self._baseline = baseline
        self._target = target
        self._terms = tuple(terms)
        self._alphas = torch.linspace(1 / steps, 1, steps, dtype=image.dtype, device=image.device).view(-1, 1, 1, 1)
        self._noise_std = noise_std
        self._generators = generators
        self._max_batch = max_batch
        self.forward = torch.zeros(len(image), dtype=torch.int64)
        """Image evaluations by the model so far, per image (B,)."""
        self.backward = torch.zeros(len(image), dtype=torch.int64)
        """Those of them that were followed by a backward pass, (B,)."""

    def values(self, up: Tensor, which: Tensor) -> Tensor:
        """A per image and term (n, T), for upsampled term masks `up` (n, T, H, W) of the images `which` (n,)."""
        shares = up.new_empty((*up.shape[:2], len(self._alphas)))
        with torch.no_grad():
            for paths in self._calls(which):
                parts = torch.split(self._shares(up, paths), [path.steps.stop - path.steps.start for path in paths])
                for path, part in zip(paths, parts, strict=True):
                    shares[path.item, path.term, path.steps] = part
        self._count(which, backward=False)
        return shares.sum(dim=2)

    def gradient(self, up: Tensor, which: Tensor) -> Tensor:
        """Gradient of A with respect to `up`, (n, T, H, W)."""
        leaf = up.detach().requires_grad_()
        total = torch.zeros_like(up)
        for paths in self._calls(which):
            total += torch.autograd.grad(self._shares(leaf, paths).sum(), leaf)[0]
        self._count(which, backward=True)
        return total

    def _calls(self, which: Tensor) -> Iterator[tuple[Path, ...]]:
        """Paths that go through the model together: whole ones, or parts when one alone is too long."""
        steps, room = len(self._alphas), self._max_batch
        paths = [
            Path(item, image, term, slice(start, min(start + room, steps)))
            for item, image in enumerate(which.tolist())
            for term in range(len(self._terms))
            for start in range(0, steps, room)
        ]
        together = max(1, room // steps)
        return (tuple(paths[start : start + together]) for start in range(0, len(paths), together))

    def _shares(self, up: Tensor, paths: Sequence[Path]) -> Tensor:
        """Probabilities divided by S, for every step of every path in order."""
        inputs = [self._inputs(up[path.item, path.term], path) for path in paths]
        target = [self._target[path.image].expand(len(part)) for path, part in zip(paths, inputs, strict=True)]
        joined = torch.cat(inputs) if len(inputs) > 1 else inputs[0]
        return target_probability(self._model, joined, torch.cat(target)) / len(self._alphas)

    def _inputs(self, mask: Tensor, path: Path) -> Tensor:
        """Noisy blends (k, C, H, W) along `path` for one upsampled mask (H, W)."""
        start, other = self._image[path.image], self._baseline[path.image]
        if self._terms[path.term].insertion:
            start, other = other, start
        inputs = blend(start, other, mask * self._alphas[path.steps])
        if self._noise_std > 0:
            noise = torch.empty_like(inputs)
            for row in noise:
                row.normal_(0.0, self._noise_std, generator=self._generators[path.image])
            inputs = inputs.add_(noise)
        return inputs

    def _count(self, which: Tensor, *, backward: bool) -> None:
        evaluations = len(self._terms) * len(self._alphas)
        self.forward[which.cpu()] += evaluations
        self.backward[which.cpu()] += evaluations * backward


class Objective:
    """Score plus regulariser of one variant, for masks (n, m, s, s) of the images numbered `which` (n,)."""

    def __init__(self, variant: Variant, score: PathScore, image: Tensor, *, l1: float, l2: float) -> None:
        self._variant = variant
        self._score = score
        self._size = image.shape[-2:]
        self._l1 = l1
        self._l2 = l2
        self._bilateral = BilateralVariation(image) if variant.bilateral else None

    def value(self, masks: Tensor, which: Tensor) -> Tensor:
        """Objective per image (n,): the full sum of all score terms plus the regulariser."""
        with torch.no_grad():
            scores = self._score.values(self._term_masks(masks), which)
            return scores @ self._signs(masks) + self._regulariser(masks, which)

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
        return self._l1 * _mean((1 - product).abs()) + self._l2 * smooth
