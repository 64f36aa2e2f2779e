"""Extremal perturbations: Fong, Patrick and Vedaldi, ICCV 2019 (arXiv 1910.08485).

Which region of a given area, with a smooth outline, preserves the target's score best when all else is blurred?
Written from the paper. Where it is silent, or the text was not at hand, the constants are reconstructions: the kernel
of the mask, the temperature of the smooth maximum, step and width of the mask's grid, the growing weight of the area.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Unpack

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError
from pipeline.explain.contract import Explainer, Maps, Query, Settings
from pipeline.explain.extremal_mask import SmoothMask
from pipeline.explain.removal import gaussian_blur
from pipeline.explain.scorer import Score

REFERENCE_SIDE = 224
"""Side in pixels of the images for which the widths are given."""
LEVELS = 8
"""Pictures in the pyramid, from the most blurred to the image itself."""
BLUR = 20.0
"""Standard deviation of the strongest blur, in pixels of a 224 pixel image."""
AREAS = (0.025, 0.05, 0.1, 0.2)
"""Shares of the image that are kept. The paper goes up to 0.8; what betrays a shortcut is small."""
AREA_WEIGHT = (300.0, 4900.0)
"""Weight of the area's penalty in the first and in the last iteration (300 * 1.0035 ** 800)."""
RATE, MOMENTUM = 0.01, 0.9
TIE = 1e-6
"""Mask values that differ by less are equal."""


class ExtremalPerturbation(Explainer):
    """Mean of the best masks of several areas; in [0, 1]. A pixel that is in the smallest mask is in most.

    For each area a: ``max_m f(image seen through m) - w ||sort(m) - r_a||^2 / n``, where r_a is 0 in the first
    (1 - a) n entries and 1 in the others (the paper's ranked area constraint), m a smooth mask
    (`extremal_mask.SmoothMask`) and the image is blurred the more, the smaller m is (`seen_through`). Gradient ascent
    with momentum 0.9 and rate 0.01; w grows from 300 to 4900 however many iterations there are.

    The explainer's `baseline` only serves to judge the confidence: here the blur is part of the method. A mask has the
    asked area even where the classifier cares little; look at ``score``, and distrust maps of low confidence.

    Notes: ``area`` (B, A), what share of the image each mask keeps; ``score`` (B, A), the target's score for the image
    seen through it.
    """

    default_score: ClassVar[Score] = "logit"

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        *,
        areas: Sequence[float] = AREAS,
        iterations: int = 200,
        **settings: Unpack[Settings],
    ) -> None:
        """Bind to `model`.

        Args:
            model: classifier returning logits.
            spec: its contract.
            areas: shares of the image that the masks keep, each in (0, 1).
            iterations: steps for every area, with one gradient each; 800 in the paper.
            settings: see `Settings`; the logit is explained, since a saturated softmax has no gradient.

        Raises:
            InputError: no area, one outside (0, 1), or no iteration.
        """
        super().__init__(model, spec, **settings)
        if not areas or not all(0 < area < 1 for area in areas) or iterations < 1:
            raise InputError(
                f"extremal-perturbation needs areas between 0 and 1 and an iteration, found {tuple(areas)} and "
                f"{iterations} iterations."
            )
        self._areas = tuple(areas)
        self._iterations = iterations

    def _maps(self, query: Query) -> Maps:
        images = query.images
        pairs = torch.cartesian_prod(torch.arange(len(images)), torch.arange(len(self._areas))).to(images.device)
        found: list[tuple[Tensor, Tensor]] = []
        start = 0
        while start < len(pairs):
            # Masks of several images and areas advance together, as many as fit into one batch.
            which, number = pairs[start : start + query.scorer.batch_size].T
            found.append(self._best_masks(query, which, images.new_tensor(self._areas)[number]))
            start += len(which)
        masks, scores = (torch.cat(column) for column in zip(*found, strict=True))
        masks, scores = masks.view(len(images), -1, 1, *images.shape[-2:]), scores.view(len(images), -1)
        return Maps(masks.mean(dim=1), {"area": masks.mean(dim=(2, 3, 4)), "score": scores})

    def _best_masks(self, query: Query, which: Tensor, areas: Tensor) -> tuple[Tensor, Tensor]:
        """Masks (n, 1, H, W) that keep `areas` (n,) of the images `which` (n,), and the scores (n,) with them."""
        smooth = SmoothMask(query.images)
        pyramid = blur_pyramid(query.images[which[0] : which[-1] + 1])
        own = which - which[0]
        wanted = ranked(areas, smooth.cells)
        growth = (AREA_WEIGHT[1] / AREA_WEIGHT[0]) ** (1 / self._iterations)
        parameters = smooth.start(len(which))
        velocity = torch.zeros_like(parameters)
        for iteration in range(self._iterations):
            with torch.enable_grad():
                leaf = parameters.requires_grad_()
                cells = smooth.cells_of(leaf)
                values = cells.flatten(1).sort().values
                distance = ((values - shared_by_ties(values.detach(), wanted)) ** 2).mean(dim=1)
                penalty = AREA_WEIGHT[0] * growth**iteration * distance
                masks = smooth.enlarged(cells)
            inputs, slopes = seen_through(masks.detach(), pyramid, own)
            _, gradient = query.scorer.gradients(inputs, which)
            rise = (gradient * slopes).sum(dim=1, keepdim=True)
            (ascent,) = torch.autograd.grad((masks * rise).sum() - penalty.sum(), leaf)
            velocity = MOMENTUM * velocity + ascent
            parameters = (parameters.detach() + RATE * velocity).clamp(0, 1)
        masks = smooth.enlarged(smooth.cells_of(parameters))
        return masks, query.scorer.values(seen_through(masks, pyramid, own)[0], which)


def ranked(areas: Tensor, count: int) -> Tensor:
    """(n, count): sorted values of a mask that keeps exactly `areas` (n,): zeros, then ones, a fraction between."""
    return (areas[:, None] * count - torch.arange(count - 1, -1, -1, device=areas.device)).clamp(0, 1)


def shared_by_ties(values: Tensor, wanted: Tensor) -> Tensor:
    """`wanted` (n, k), averaged over entries whose sorted `values` (n, k) are equal.

    Ours. At the start all values are equal, and elsewhere many stay so. Whichever way the sort happens to order them,
    the penalty would push the first down and the last up: the mask becomes a stripe before the classifier has said
    anything, and often stays there.
    """
    groups = functional.pad((values.diff(dim=1) > TIE).cumsum(dim=1), (1, 0))
    sums = torch.zeros_like(values).scatter_add_(1, groups, wanted)
    counts = torch.zeros_like(values).scatter_add_(1, groups, torch.ones_like(values))
    return (sums / counts.clamp_min(1)).gather(1, groups)


def blur_pyramid(images: Tensor) -> Tensor:
    """(B, LEVELS, C, H, W): `images` (B, C, H, W) from blurred most to not at all, in even steps of sigma."""
    strongest = BLUR * min(images.shape[-2:]) / REFERENCE_SIDE
    sigmas = [strongest * (1 - level / (LEVELS - 1)) for level in range(LEVELS - 1)]
    return torch.stack([*(gaussian_blur(images, sigma) for sigma in sigmas), images], dim=1)


def seen_through(masks: Tensor, pyramid: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
    """Images seen through masks, and what that changes by the mask; both (n, C, H, W).

    A pixel of mask value m shows the pyramid at height m (0 = blurred most, 1 = the image), between two levels what
    lies between them linearly.

    Args:
        masks: (n, 1, H, W) in [0, 1].
        pyramid: (B, LEVELS, C, H, W).
        which: image of each mask, (n,).
    """
    height = masks * (LEVELS - 1)
    # A NaN would be no index; it stays in `height` and so reaches the check of the finished map.
    lower = height.floor().nan_to_num(0).clamp(0, LEVELS - 2).long()
    axes = [torch.arange(side, device=masks.device) for side in pyramid.shape[2:]]
    channel, row, column = axes[0][:, None, None], axes[1][:, None], axes[2]
    image = which[:, None, None, None]
    low, high = (pyramid[image, level, channel, row, column] for level in (lower, lower + 1))
    return low + (height - lower) * (high - low), (LEVELS - 1) * (high - low)
