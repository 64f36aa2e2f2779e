"""Input checks shared by the metrics."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.errors import InputError
from pipeline.explain.frozen import target_tensor


def check_maps(saliency: Tensor) -> None:
    """Refuse saliency that is not finite (B, 1, H, W).

    Raises:
        InputError: it is not.
    """
    if saliency.dim() != 4 or saliency.shape[1] != 1 or saliency.numel() == 0:
        raise InputError(f"Saliency is (B, 1, H, W), found {tuple(saliency.shape)}.")
    if not bool(torch.isfinite(saliency).all()):
        raise InputError(
            "The saliency map holds NaN or infinity, so its pixels have no order. Explain the image again."
        )


def check_same_place(saliency: Tensor, images: Tensor) -> None:
    """Refuse saliency that is not one map for each image (B, C, H, W), pixel by pixel.

    Raises:
        InputError: it is not.
    """
    check_maps(saliency)
    if images.dim() != 4 or (len(images), *images.shape[2:]) != (len(saliency), *saliency.shape[2:]):
        raise InputError(
            f"images (B, C, H, W) and saliency (B, 1, H, W) must be of the same number and size, "
            f"found {tuple(images.shape)} and {tuple(saliency.shape)}. Upsample the map first."
        )


def check_where(saliency: Tensor, where: Tensor) -> None:
    """Refuse a region that is not bool (B, 1, H, W) like the maps, or empty for an image.

    Raises:
        InputError: it is.
    """
    check_maps(saliency)
    if where.dtype != torch.bool or where.shape != saliency.shape:
        raise InputError(
            f"`where` is bool {tuple(saliency.shape)} like the maps, found {where.dtype} {tuple(where.shape)}."
        )
    check_nonempty(where.flatten(1).any(dim=1).tolist())


def check_nonempty(present: Sequence[bool]) -> None:
    """Refuse images for which nothing is `present`.

    Raises:
        InputError: there are some.
    """
    empty = [number for number, there in enumerate(present) if not there]
    if empty:
        raise InputError(f"Nothing to find in images {empty} of the batch: their region is empty. Leave them out.")


def check_target(target: Tensor | int, images: Tensor) -> Tensor:
    """`target` as int64 (B,).

    Raises:
        InputError: it is not one class for each image.
    """
    classes = target_tensor(target, images)
    if classes.shape != (len(images),):
        raise InputError(f"One target for each of {len(images)} images, or one for all, found {tuple(classes.shape)}.")
    return classes
