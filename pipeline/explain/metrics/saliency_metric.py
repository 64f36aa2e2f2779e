"""The saliency metric of Dabkowski and Gal, NeurIPS 2017 (arXiv 1705.07857)."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from pipeline.explain.frozen import frozen
from pipeline.explain.metrics.boxes import BoxRule, saliency_box
from pipeline.explain.metrics.checks import check_same_place, check_target
from pipeline.explain.scorer import CPU_BATCH, Scorer
from pipeline.types import Box

MIN_AREA = 0.05
"""Smaller boxes count as this share of the image."""
MIN_PROBABILITY = 1e-12
"""Keeps the logarithm finite."""


def saliency_metric(
    model: nn.Module,
    images: Tensor,
    saliency: Tensor,
    target: Tensor | int,
    *,
    rule: BoxRule = "component",
    level: float | None = None,
    batch_size: int = CPU_BATCH,
) -> Tensor:
    """How small a crop keeps the class: ``log(max(area share, 0.05)) - log(p of the crop)``, (B,); lower = better.

    The crop is the box around the salient part, resized to the input size by cubic interpolation, p the softmax
    probability. A flat map takes the whole image, so it scores ``-log p(image)`` (the CASM code feeds an
    empty box as a black image instead).

    Args:
        model: classifier returning logits; left exactly as it was.
        images: network input (B, C, H, W).
        saliency: (B, 1, H, W).
        target: class per image (B,) or one for all.
        rule: how the box is drawn, `boxes.saliency_box`; the source's own search of the best box is not described.
        level: of the rule.
        batch_size: most images in one call of the model.

    Raises:
        InputError: shapes disagree, the map is not finite, or there is no such rule.
    """
    check_same_place(saliency, images)
    found = saliency_box(saliency, rule, level=level)
    scorer = Scorer(model, check_target(target, images), score="probability", batch_size=batch_size)
    with frozen(model, channels_last=True):
        probability = torch.cat(
            [
                scorer.values(torch.stack([_crop(images[number], found[number]) for number in which.tolist()]), which)
                for which in torch.split(torch.arange(len(images)), batch_size)
            ]
        )
    share = torch.tensor([box.area / saliency[0].numel() for box in found]).to(probability)
    return share.clamp_min(MIN_AREA).log() - probability.clamp_min(MIN_PROBABILITY).log()


def _crop(image: Tensor, box: Box) -> Tensor:
    """The part of (C, H, W) inside `box`, resized to (C, H, W)."""
    part = image[None, :, int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]
    return functional.interpolate(part, image.shape[-2:], mode="bicubic", align_corners=False)[0]
