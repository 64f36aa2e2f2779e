"""Scores of images that are mixed with their baselines by a mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from pipeline.explain.contract import Query
from pipeline.explain.removal import scores_without


def blended_scores(query: Query, baseline: Tensor, keep: Callable[[Tensor, Tensor], Tensor], count: int) -> Tensor:
    """Scores (B, count) of ``keep * image + (1 - keep) * baseline``, `count` variants of each image.

    Args:
        query: images and classifier.
        baseline: the images without evidence (B, C, H, W).
        keep: (which image (n,), which of its variants (n,)), int64 -> mask (n, 1, H, W), 1 = the image.
        count: variants of each image.
    """
    # An image and its baseline travel as one, channel behind channel: `scores_without` picks both at a time.
    pairs = replace(query, images=torch.cat([query.images, baseline], dim=1))
    return scores_without(pairs, _blend, keep, count)


def _blend(pairs: Tensor, keep: Tensor) -> Tensor:
    images, baseline = pairs.chunk(2, dim=1)
    return images * keep + baseline * (1 - keep)
