"""Are dark regions credited as much as bright ones that matter as much to the classifier?

Attributions are held against what painting each patch over does, separately for dark and for bright patches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError
from pipeline.explain.contract import Explainer
from pipeline.explain.frozen import frozen, target_tensor
from pipeline.explain.scorer import target_score
from pipeline.fills import fill

MakeExplainer = Callable[[nn.Module, ModelSpec], Explainer]
"""Binds a method to a classifier."""
PATCH = 16
"""Side of the patches, pixels."""
BINS = 5
"""The darkest and the brightest of so many equal groups of patches are compared."""


@dataclass(frozen=True)
class PatchEffects:
    """What each patch of some images does to a classifier, measured by painting it over.

    Attributes:
        model: the classifier.
        spec: its contract.
        patch: side of a patch, pixels.
        images: network input (B, C, H, W).
        target: class per image, int64 (B,).
        effects: absolute change of the target's probability, (B, h, w) with one entry per patch.
        intensity: mean intensity of each patch in [0, 1], (B, h, w).
    """

    model: nn.Module
    spec: ModelSpec
    patch: int
    images: Tensor
    target: Tensor
    effects: Tensor
    intensity: Tensor


def patch_effects(
    model: nn.Module, spec: ModelSpec, images: Tensor, target: Tensor | int, *, patch: int = PATCH
) -> PatchEffects:
    """Paints over (Telea) every whole patch of `images` (B, C, H, W), network input, one at a time.

    Raises:
        InputError: the images hold fewer patches than `dark_bright_ratio` has groups.
    """
    height, width = (side // patch for side in images.shape[-2:])
    if len(images) * height * width < BINS or height * width < 2:
        raise InputError(
            f"{len(images)} images of {tuple(images.shape[-2:])} pixels hold {len(images) * height * width} patches of "
            f"{patch} pixels, at least {BINS}, and 2 an image, are needed. Give more or larger images."
        )
    classes = target_tensor(target, images)
    grey = spec.denormalise(images).clamp(0, 1)
    with frozen(model), torch.no_grad():
        present = target_score(model, images, classes, "probability")
        effects = [
            present - target_score(model, torch.where(where, spec.normalise(painted), images), classes, "probability")
            for where, painted in _painted(grey, patch)
        ]
    changes = torch.stack(effects, dim=1).abs().view(-1, height, width)
    return PatchEffects(model, spec, patch, images, classes, changes, _patch_means(grey, patch))


def _painted(grey: Tensor, patch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """For each place of the grid: where it is, bool (B, 1, H, W), and the images without it."""
    paint = fill("telea")
    height, width = (side // patch for side in grey.shape[-2:])
    for row in range(height):
        for column in range(width):
            where = torch.zeros_like(grey[:, :1], dtype=torch.bool)
            where[..., row * patch : (row + 1) * patch, column * patch : (column + 1) * patch] = True
            yield where, paint(grey, where, None)


def _patch_means(maps: Tensor, patch: int) -> Tensor:
    return functional.avg_pool2d(maps.mean(dim=1, keepdim=True), patch)[:, 0]


def dark_bright_ratio(make: MakeExplainer, effects: PatchEffects) -> float:
    """Intensity-stratified calibration: attribution per effect of the darkest patches over that of the brightest.

    Each image's |A| is scaled to a mean of 1. Per fifth of the patches by intensity, the slope through the origin of
    mean |A| against the effect, ``sum(|A| effect) / sum(effect^2)``: no effect deserves no attribution. About 1 without
    bias, 0 if dark regions get nothing; NaN if the brightest fifth has no effect or no attribution.
    """
    explainer = make(effects.model, effects.spec)
    maps = explainer.attribute(effects.images, effects.target, image_ids=image_names(effects.images)).abs()
    maps = maps / maps.mean(dim=(1, 2, 3), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)
    order = effects.intensity.flatten().argsort()
    strength, effect = _patch_means(maps, effects.patch).flatten()[order], effects.effects.flatten()[order]
    size = len(order) // BINS
    slopes = [
        float((strength[part] * effect[part]).sum() / (effect[part] ** 2).sum())
        for part in (slice(0, size), slice(-size, None))
    ]
    return slopes[0] / slopes[1] if slopes[1] != 0 else float("nan")


def image_names(images: Tensor) -> list[str]:
    """The same randomness for an image before and after it was changed."""
    return [f"bias-{number}" for number in range(len(images))]
