"""Probabilities averaged along the path from an image without evidence to a masked one, and their gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pipeline.explain.scorer import Scorer

Points = Literal["right", "stratified"]
"""Where the path is looked at: "right" as the papers do, k/S for k = 1..S, which leaves out the start and favours the
end; "stratified" one point drawn from each of S equal stretches, anew in every evaluation."""


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


def blend(image: Tensor, baseline: Tensor, mask: Tensor) -> Tensor:
    """`image` where `mask` is 1, `baseline` where it is 0 (the operator Phi of the papers)."""
    return image * mask + baseline * (1 - mask)


class _Stretch(NamedTuple):
    """Consecutive points of one path."""

    item: int
    """Position in the masks at hand."""
    image: int
    """Position in the whole batch."""
    term: int
    points: slice


class PathScore:
    """Path-averaged probabilities A and their gradients with respect to the upsampled mask.

    For a path from `other` to `start` and a mask u::

        A(u) = 1/S sum_{k=1..S} p(start * a_k u + other * (1 - a_k u) + e_k),   e_k ~ N(0, noise_std^2)

    with (start, other) = (image, baseline) for deletion and swapped for insertion, and the points a_k as `Points`
    says. The points of as many images and terms as the scorer's batch allows go through the model together. Noise
    is drawn anew in every evaluation, input by input from the image's own generator, so it depends neither on the
    other images nor on the batch.

    The order of floating-point operations is the authors': near convergence the line search hangs on the last bit.
    """

    def __init__(
        self,
        scorer: Scorer,
        image: Tensor,
        baseline: Tensor,
        *,
        terms: Sequence[Term],
        steps: int,
        points: Points,
        noise_std: float,
        generators: Sequence[torch.Generator],
    ) -> None:
        """`image`, `baseline` (B, C, H, W), one of `generators` per image."""
        self._scorer = scorer
        self._image = image
        self._baseline = baseline
        self._terms = tuple(terms)
        self._steps = steps
        self._points = points
        self._noise_std = noise_std
        self._generators = generators

    def values(self, up: Tensor, which: Tensor) -> Tensor:
        """A per image and term (n, T), for upsampled term masks `up` (n, T, H, W) of the images `which` (n,)."""
        shares = up.new_empty((*up.shape[:2], self._steps))
        alphas = self._alphas(which)
        for stretches, inputs in self._calls(up, which, alphas):
            scores = self._scorer.values(inputs, _images(stretches)) / self._steps
            for stretch, part in zip(stretches, torch.split(scores, _lengths(stretches)), strict=True):
                shares[stretch.item, stretch.term, stretch.points] = part
        return shares.sum(dim=2)

    def endpoints(self, up: Tensor, which: Tensor) -> Tensor:
        """Probabilities (n, T) at the ends of the paths alone, a = 1, without noise; `up` may hold fewer terms."""
        rows = [(item, image, term) for item, image in enumerate(which.tolist()) for term in range(up.shape[1])]
        scores = []
        for start in range(0, len(rows), self._scorer.batch_size):
            part = rows[start : start + self._scorer.batch_size]
            inputs = torch.stack([blend(*self._ends(image, term), up[item, term]) for item, image, term in part])
            scores.append(self._scorer.values(inputs, torch.tensor([image for _, image, _ in part])))
        return torch.cat(scores).view(up.shape[:2])

    def gradient(self, up: Tensor, which: Tensor) -> Tensor:
        """Gradient of A with respect to `up`, (n, T, H, W)."""
        total = torch.zeros_like(up)
        alphas = self._alphas(which)
        for stretches, inputs in self._calls(up, which, alphas):
            slopes = self._scorer.gradients(inputs, _images(stretches), weight=1 / self._steps)[1]
            for stretch, slope in zip(stretches, torch.split(slopes, _lengths(stretches)), strict=True):
                start, other = self._ends(stretch.image, stretch.term)
                pull = (slope * start).sum(dim=1) - (slope * other).sum(dim=1)
                points = alphas[stretch.item, stretch.term, stretch.points, None, None]
                total[stretch.item, stretch.term] += (pull * points).sum(dim=0)
        return total

    def _alphas(self, which: Tensor) -> Tensor:
        """Points of every path, (n, T, S)."""
        shape = (len(which), len(self._terms), self._steps)
        numbers = torch.arange(1, self._steps + 1, dtype=self._image.dtype, device=self._image.device)
        if self._points == "right":
            return (numbers / self._steps).expand(shape)
        moves = torch.stack(
            [
                torch.rand(shape[1:], generator=self._generators[image], dtype=numbers.dtype, device=numbers.device)
                for image in which.tolist()
            ]
        )
        return (numbers - moves) / self._steps

    def _calls(self, up: Tensor, which: Tensor, alphas: Tensor) -> Iterator[tuple[tuple[_Stretch, ...], Tensor]]:
        """Stretches that go through the model together, with inputs: whole paths, or parts of a long one."""
        room = self._scorer.batch_size
        stretches = [
            _Stretch(item, image, term, slice(start, min(start + room, self._steps)))
            for item, image in enumerate(which.tolist())
            for term in range(len(self._terms))
            for start in range(0, self._steps, room)
        ]
        together = max(1, room // self._steps)
        for first in range(0, len(stretches), together):
            part = tuple(stretches[first : first + together])
            yield part, torch.cat([self._inputs(up, alphas, stretch) for stretch in part])

    def _inputs(self, up: Tensor, alphas: Tensor, stretch: _Stretch) -> Tensor:
        """Noisy blends (k, C, H, W) along a stretch."""
        points = alphas[stretch.item, stretch.term, stretch.points, None, None, None]
        inputs = blend(*self._ends(stretch.image, stretch.term), up[stretch.item, stretch.term] * points)
        if self._noise_std > 0:
            noise = torch.empty_like(inputs)
            for row in noise:
                row.normal_(0.0, self._noise_std, generator=self._generators[stretch.image])
            inputs = inputs.add_(noise)
        return inputs

    def _ends(self, image: int, term: int) -> tuple[Tensor, Tensor]:
        """What is masked and what shows where the mask is 0, (C, H, W) each."""
        ends = self._image[image], self._baseline[image]
        return ends[::-1] if self._terms[term].insertion else ends


def _images(stretches: Sequence[_Stretch]) -> Tensor:
    return torch.tensor([stretch.image for stretch in stretches]).repeat_interleave(torch.tensor(_lengths(stretches)))


def _lengths(stretches: Sequence[_Stretch]) -> list[int]:
    return [stretch.points.stop - stretch.points.start for stretch in stretches]
