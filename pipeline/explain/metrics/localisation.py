"""Does a map lie where it should: on a lesion, the lungs, or a planted mark?

Only as good as the belief that the classifier looks there. On real x-rays a map beside the lesion may be
the truth about a classifier that takes a shortcut.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.errors import InputError
from pipeline.explain.metrics.boxes import BoxRule, saliency_box
from pipeline.explain.metrics.checks import check_maps, check_nonempty, check_where
from pipeline.types import Box

REFERENCE_SIDE = 224
"""Pixels given by the sources are pixels of images of this side; they are scaled to the shorter side of others."""
MIN_IOU = 0.5
"""A box that overlaps more than this is right."""


def pointing_game(saliency: Tensor, where: Tensor, *, radius: float = 15.0) -> Tensor:
    """Pointing game: is the region nearer than `radius` to the map's highest pixel? Bool (B,), True = better.

    Zhang et al., IJCV 2018, as TorchRay computes it (distance strictly less than 15 pixels). Of equal maxima the
    first in reading order counts. A flat map points nowhere and misses: our choice, the source takes its corner.

    Args:
        saliency: (B, 1, H, W).
        where: bool (B, 1, H, W), nowhere empty.
        radius: pixels of an image of side 224, scaled to the shorter side of this one (1.9 pixels at 28 x 28).

    Raises:
        InputError: shapes disagree, the map is not finite or a region is empty.
    """
    check_where(saliency, where)
    height, width = saliency.shape[-2:]
    reach = radius * min(height, width) / REFERENCE_SIDE
    row, column = (index[:, None, None] for index in _peak(saliency))
    rows = torch.arange(height, device=saliency.device)[None, :, None] - row
    columns = torch.arange(width, device=saliency.device)[None, None, :] - column
    near = rows**2 + columns**2 < reach**2
    return (near & where[:, 0]).flatten(1).any(dim=1) & ~flat(saliency)


def peak_inside(saliency: Tensor, where: Tensor) -> Tensor:
    """Is the map's highest pixel itself inside `where`, e.g. a text box or the `border`? Bool (B,).

    Ties, flat maps, arguments and errors as for `pointing_game`.
    """
    check_where(saliency, where)
    row, column = _peak(saliency)
    return where[torch.arange(len(where), device=where.device), 0, row, column] & ~flat(saliency)


def border(saliency: Tensor, share: float = 0.05) -> Tensor:
    """The outermost `share` of each side, at least a pixel, as a region like `saliency`: bool (B, 1, H, W)."""
    height, width = saliency.shape[-2:]
    rows, columns = max(1, round(share * height)), max(1, round(share * width))
    inner = torch.zeros(saliency.shape, dtype=torch.bool, device=saliency.device)
    inner[:, :, rows : height - rows, columns : width - columns] = True
    return ~inner


def mass_inside(saliency: Tensor, where: Tensor) -> Tensor:
    """Share (B,) of the positive mass of the map that lies in `where`, in [0, 1]; higher = better localised.

    A map without positive values prefers no place and gets what a flat one gets: the region's share of the area.

    Raises:
        InputError: shapes disagree, the map is not finite or a region is empty.
    """
    check_where(saliency, where)
    positive = saliency.double().clamp_min(0)
    positive = torch.where(positive.amax(dim=(2, 3), keepdim=True) > 0, positive, 1.0)
    return ((positive * where).sum(dim=(1, 2, 3)) / positive.sum(dim=(1, 2, 3))).float()


def enrichment(saliency: Tensor, where: Tensor) -> Tensor:
    """`mass_inside` over the region's share of the area (B,): 1 = chance, higher = better localised.

    Raises:
        InputError: as `mass_inside`.
    """
    return mass_inside(saliency, where) / where.float().mean(dim=(1, 2, 3))


def localisation_error(
    saliency: Tensor,
    truth: Tensor | Sequence[Sequence[Box]],
    *,
    rule: BoxRule = "component",
    level: float | None = None,
) -> Tensor:
    """1 where the map's box misses, 0 where it is right, float (B,); lower = better.

    Right means an intersection over union above `MIN_IOU` with one of the true boxes, or, when `truth` is a region,
    with the region as a whole (all true boxes together), as in the generative-removal group's code. Fix the
    rule before looking at results. The "overall" error of the CASM papers also counts wrong classifications as 1.

    Args:
        saliency: (B, 1, H, W).
        truth: bool (B, 1, H, W), or the true boxes of each image in its pixels; at least one for each image.
        rule: see `saliency_box`.
        level: see `saliency_box`.

    Raises:
        InputError: as `saliency_box`; shapes or numbers disagree; nothing to find in an image.
    """
    found = saliency_box(saliency, rule, level=level)
    if isinstance(truth, Tensor):
        check_where(saliency, truth)
        overlap = [_overlap(box, region) for box, region in zip(found, truth[:, 0], strict=True)]
    else:
        if len(truth) != len(found):
            raise InputError(f"One list of boxes per map: {len(found)} maps, {len(truth)} lists.")
        check_nonempty([len(boxes) > 0 for boxes in truth])
        overlap = [max(box.iou(true) for true in boxes) for box, boxes in zip(found, truth, strict=True)]
    return torch.tensor([float(value <= MIN_IOU) for value in overlap], device=saliency.device)


def flat(saliency: Tensor) -> Tensor:
    """Bool (B,): all pixels of the map (B, 1, H, W) are equal."""
    check_maps(saliency)
    return saliency.amax(dim=(1, 2, 3)) == saliency.amin(dim=(1, 2, 3))


def _peak(saliency: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column (B,) of the highest pixel."""
    index, width = saliency.flatten(1).argmax(dim=1), saliency.shape[-1]
    return index // width, index % width


def _overlap(box: Box, region: Tensor) -> float:
    """Intersection over union of a box of whole pixels and a region (H, W)."""
    shared = int(region[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)].sum())
    return shared / (box.area + int(region.sum()) - shared)
