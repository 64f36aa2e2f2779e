"""MP and MP-G: the smallest smooth mask that takes the target's score away.

Fong and Vedaldi, ICCV 2017 (arXiv 1704.03296), with the settings of Agarwal and Nguyen, ACCV 2020
(arXiv 1910.04256). Inside, mask values are 1 where the image is kept; the map is 1 - mask.
"""

from __future__ import annotations

from typing import Literal, Unpack

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError, did_you_mean
from pipeline.explain.contract import Explainer, Maps, Query, Settings
from pipeline.explain.removal import Inpaint, gaussian_blur, removal, scores_without
from pipeline.randomness import torch_generator

Start = Literal["random", "circle"]
STARTS = {
    "random": "uniform between 0 and 1",
    "circle": "the smallest of 35 soft discs about the centre whose removal lowers the score by 99 % of the most that "
    "one does (the authors: of what the largest does, but a fill has nothing left to paint that one from)",
}
"""What a mask starts from."""
TV_POWER = 3
REFERENCE_SIDE = 224
"""Side in pixels of the images for which the authors give jitter, radii and softness of the discs."""
JITTER = 4
RADII = range(0, 171, 5)
SOFTNESS = 10.0
ATTAINED = 0.01
"""Share of the attainable loss of score that the disc of the start may leave."""


class MeaningfulPerturbation(Explainer):
    """Saliency = 1 - mask, in [0, 1], in blocks of one mask value each.

    Each image's mask M minimises, by Adam and clamped to [0, 1] after each step ::

        l1 * sum |1 - M|  +  tv * sum |differences of neighbours|^3  +  f(image without what M takes away)

    M is enlarged by repetition. Against adversarial masks the image is jittered: enlarged by a few pixels and cropped
    at a random place in each step (the blur is that of the crop; the authors crop a blur of the enlarged image).
    Fills paint anew in each step; see `removal.removal` for their gradient. Where a fill leaves an image as it is
    there is none, so only smoothness draws kept pixels into a hole.

    The sums, not means, over the mask are the authors': their weights fit a mask of 28 x 28.

    Notes: "objective" of each step (B, iterations), as far as jitter allows a comparison; "removed_share", the
    share of the mask below 0.5, (B,).
    """

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        *,
        fill: str | Inpaint = "gaussian-10",
        size: int = 28,
        iterations: int = 300,
        learning_rate: float = 0.1,
        l1: float = 1e-4,
        tv: float = 1e-2,
        jitter: int | None = None,
        start: Start = "random",
        **settings: Unpack[Settings],
    ) -> None:
        """Bind to `model`.

        Args:
            model: classifier returning logits.
            spec: its contract.
            fill: what replaces masked pixels, see `removal.removal`; "gaussian-10" is MP, a plausible fill makes MP-G.
            size: side of the mask; smaller images get a mask of their own size.
            iterations: steps of Adam, each an evaluation with gradient.
            learning_rate: of Adam.
            l1: weight of the sum of ``1 - M``.
            tv: weight of the total variation.
            jitter: pixels by which the image is enlarged; by default 4/224 of its shorter side.
            start: what the mask starts from, see `STARTS`; "circle" takes 36 evaluations more.
            settings: see `Settings`; the probability is explained.

        Raises:
            InputError: unknown fill or start, or a size, number of iterations or jitter that is too small.
        """
        super().__init__(model, spec, **settings)
        side = min(spec.input_size)
        self._jitter = round(side * JITTER / REFERENCE_SIDE) if jitter is None else jitter
        if start not in STARTS:
            raise InputError(f"Unknown start {start!r}. {did_you_mean(start, STARTS)}")
        if min(size, iterations) < 1 or self._jitter < 0:
            raise InputError(
                f"Size {size} and iterations {iterations} must be at least 1, jitter {self._jitter} at least 0."
            )
        self._remove = removal(fill, spec)
        self._size = min(size, side)
        self._iterations = iterations
        self._learning_rate = learning_rate
        self._l1 = l1
        self._tv = tv
        self._start = start

    def _maps(self, query: Query) -> Maps:
        # The same whatever the fill, so that it is all in which MP and MP-G differ.
        generators = [torch_generator(self.seed, "explain", "mp", image_id) for image_id in query.image_ids]
        drawn = torch.stack([torch.rand(1, self._size, self._size, generator=each) for each in generators])
        offsets = torch.stack(
            [torch.randint(max(1, self._jitter), (self._iterations, 2), generator=each) for each in generators], dim=1
        )
        mask = (drawn.to(query.images) if self._start == "random" else self._circle(query)).requires_grad_()
        large = self._enlarged(query.images)
        optimizer = torch.optim.Adam([mask], lr=self._learning_rate)
        objective = []
        for places in offsets:
            value, mask.grad = self._objective(query, _crop(large, places, self.spec.input_size), mask)
            objective.append(value)
            optimizer.step()
            with torch.no_grad():
                mask.clamp_(0, 1)
        found = mask.detach()
        removed = (found < 0.5).float().flatten(1).mean(dim=1)
        return Maps(1 - self._upsample(found), {"objective": torch.stack(objective, dim=1), "removed_share": removed})

    def _objective(self, query: Query, images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Objective (B,) and its gradient by the mask."""
        with torch.enable_grad():
            variants = self._remove(images, self._upsample(mask))
            penalty = self._l1 * _sum((1 - mask).abs()) + self._tv * (
                _sum(mask.diff(dim=2).abs() ** TV_POWER) + _sum(mask.diff(dim=3).abs() ** TV_POWER)
            )
        scores, slopes = query.scorer.gradients(variants.detach())
        (gradient,) = torch.autograd.grad([variants, penalty], mask, [slopes, torch.ones_like(penalty)])
        return scores + penalty.detach(), gradient

    def _upsample(self, masks: Tensor) -> Tensor:
        return functional.interpolate(masks, self.spec.input_size, mode="nearest-exact")

    def _enlarged(self, images: Tensor) -> Tensor:
        height, width = (side + self._jitter for side in self.spec.input_size)
        return functional.interpolate(images, (height, width), mode="bilinear", align_corners=False)

    def _circle(self, query: Query) -> Tensor:
        """Starts (B, 1, s, s): see `STARTS`. Where no disc lowers the score, nothing is removed."""
        masks = self._discs().to(query.images)
        scores = scores_without(query, self._remove, lambda _, disc: self._upsample(masks[disc]), len(masks))
        floor = scores.amin(dim=1, keepdim=True)
        left = (scores - floor) / (query.scorer.values(query.images)[:, None] - floor)
        return masks[(left < ATTAINED).int().argmax(dim=1)]

    def _discs(self) -> Tensor:
        """Masks (35, 1, s, s), 0 inside growing discs about the centre."""
        height, width = self.spec.input_size
        unit = min(height, width) / REFERENCE_SIDE
        rows = torch.arange(height)[:, None] - (height - 1) / 2
        columns = torch.arange(width) - (width - 1) / 2
        radii = torch.tensor([radius * unit for radius in RADII]).view(-1, 1, 1, 1)
        discs = (torch.hypot(rows, columns) < radii).float()
        return functional.adaptive_avg_pool2d(1 - gaussian_blur(discs, SOFTNESS * unit), self._size)


def _crop(images: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
    """The part of `size` of each image (B, C, H, W) that begins at its row and column in `places` (B, 2)."""
    height, width = size
    corners = zip(images, places.tolist(), strict=True)
    return torch.stack([image[:, top : top + height, left : left + width] for image, (top, left) in corners])


def _sum(values: Tensor) -> Tensor:
    return values.flatten(1).sum(dim=1)
