"""Deletion and insertion: does removing what a map calls important remove the class, and does showing it restore it?

Protocol of the iGOS papers (Petsiuk et al., BMVC 2018, with soft masks): pixels of the map, not of the image, are
ordered; a block of them at a time is set to 0 in an all-ones mask, which is upsampled bilinearly and blends the
image with its blurred baseline. Not comparable with RISE's hard-masked numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.explain.frozen import frozen, target_tensor
from pipeline.explain.igos_objective import upsample
from pipeline.explain.igos_path import blend
from pipeline.explain.scorer import target_score


@dataclass(frozen=True)
class Curves:
    """Deletion and insertion of B images over K blocks.

    Attributes:
        deletion_auc: (B,) in [0, 1], lower = more faithful.
        insertion_auc: (B,) in [0, 1], higher = more faithful.
        fractions: (K + 1,) share of map pixels removed (deletion) or shown (insertion), from 0 to 1.
        deletion: (B, K + 1) probability of the target as the most salient pixels are removed.
        insertion: (B, K + 1) probability of the target as the most salient pixels are shown.
    """

    deletion_auc: Tensor
    insertion_auc: Tensor
    fractions: Tensor
    deletion: Tensor
    insertion: Tensor


def deletion_insertion(
    model: nn.Module,
    image: Tensor,
    baseline: Tensor,
    saliency: Tensor,
    target: Tensor | int,
    *,
    steps: int = 50,
    official: bool = False,
    max_batch: int = 64,
) -> Curves:
    """Deletion and insertion curves of `saliency`, and the areas under them.

    The area is a right-endpoint sum: probability after a block times the block's share of pixels. Ties keep
    reading order.

    Args:
        model: classifier returning logits; left exactly as it was.
        image: network input (B, C, H, W).
        baseline: same shape, the image without evidence.
        saliency: (B, 1, h, w), larger = matters more, at its own resolution, not finer than the image.
            For an iGOS mask pass ``1 - mask``.
        target: class per image (B,) or one for all.
        steps: about how many blocks; each has ``max(1, h * w // steps)`` pixels.
        official: reproduce the authors' code, which counts the last block with probability 1 (both areas
            come out too large, by at most the last block's share) and leaves the order of ties to the sort.
        max_batch: most images in one call of the model.

    Raises:
        InputError: shapes disagree or the map is not finite.
    """
    _check(image, baseline, saliency)
    pixels = saliency[0].numel()
    block = max(1, pixels // steps)
    removed = torch.tensor([*range(0, pixels, block), pixels], device=image.device)
    rank = removal_rank(saliency, stable=not official)
    curves = image.new_empty((2, len(image), len(removed)))
    classes = target_tensor(target, image)
    with torch.no_grad(), frozen(model):
        for rows in torch.split(torch.cartesian_prod(torch.arange(len(image)), torch.arange(len(removed))), max_batch):
            which, step = rows.to(image.device).unbind(dim=1)
            kept = (rank[which] >= removed[step, None, None, None]).to(image.dtype)
            mask = upsample(kept, image.shape[-2:])
            for kind, (start, other) in enumerate(((image, baseline), (baseline, image))):
                inputs = blend(start[which], other[which], mask)
                curves[kind, which, step] = target_score(model, inputs, classes[which], "probability")
    shares = removed.diff() / pixels
    scored = curves[:, :, 1:].clone()
    if official:
        scored[:, :, -1] = 1.0
    deletion_auc, insertion_auc = (scored * shares).sum(dim=2)
    return Curves(deletion_auc, insertion_auc, removed / pixels, curves[0], curves[1])


def removal_rank(saliency: Tensor, *, stable: bool = True) -> Tensor:
    """Position (B, 1, h, w) of each pixel in the order of removal; `stable` keeps ties in reading order."""
    order = saliency.flatten(1).argsort(dim=1, descending=True, stable=stable)
    return order.argsort(dim=1).view(saliency.shape)


def _check(image: Tensor, baseline: Tensor, saliency: Tensor) -> None:
    if image.shape != baseline.shape or saliency.dim() != 4 or saliency.shape[:2] != (len(image), 1):
        raise InputError(
            f"image and baseline must be (B, C, H, W) and saliency (B, 1, h, w), "
            f"found {tuple(image.shape)}, {tuple(baseline.shape)} and {tuple(saliency.shape)}."
        )
    if not bool(torch.isfinite(saliency).all()):
        raise InputError("The saliency map holds NaN or infinity, so its pixels have no order.")
