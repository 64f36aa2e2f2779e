"""How much a map depends on settings nobody can justify: Bansal, Agarwal, Nguyen, CVPR 2020 (arXiv 2003.08754).

That the paper of the generative variants (Agarwal and Nguyen, ACCV 2020, arXiv 1910.04256) measured the same way is
from memory, its settings are not available; the measures and settings here are those of the same group's code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from models.spec import ModelSpec
from pipeline.errors import InputError, did_you_mean
from pipeline.explain.metrics.likeness import (
    Floats,
    comparable,
    gradient_histograms,
    pearson,
    rows,
    spearman,
    ssim,
    unit,
)

REFERENCE_SIDE = 224
"""Side in pixels of the images that `HYPERPARAMETERS` are for."""
SSIM_WINDOW = 5
"""Side of the SSIM window, pixels."""
HYPERPARAMETERS: dict[str, tuple[dict[str, Any], ...]] = {
    "sp": tuple({"patch": patch} for patch in (5, 29, 53)),
    "sp-g": tuple({"patch": patch} for patch in (5, 29, 53)),
    "lime": tuple({"seed": seed, "segments": 50} for seed in range(5)),
    "lime-g": tuple({"seed": seed, "segments": 50} for seed in range(5)),
    "mp": tuple({"fill": f"gaussian-{radius}", "start": "circle"} for radius in (5, 10, 30)),
    "mp-g": tuple({"seed": seed, "start": "random"} for seed in range(3)),
    "smoothgrad": tuple({"sigma": sigma, "samples": 50} for sigma in (0.1, 0.2, 0.3)),
}
"""Options of each explainer to compare, at 224 x 224; `hyperparameters` scales them. A blur radius means nothing to
MP-G, so random starts take its place (from memory; how many is ours): do not compare its numbers with MP's."""


@dataclass(frozen=True)
class Similarity:
    """Mean over all pairs of settings, (B,) each; higher = more robust, 1 = the settings do not matter.

    Attributes:
        ssim: structural similarity, 5 x 5 window.
        hog: Pearson correlation of histograms of oriented gradients.
        spearman: rank correlation of pixels.
    """

    ssim: Tensor
    hog: Tensor
    spearman: Tensor


def hyperparameters(name: str, spec: ModelSpec) -> tuple[dict[str, Any], ...]:
    """The settings of `HYPERPARAMETERS` for explainer `name`, lengths scaled to the shorter side of the input.

    Raises:
        InputError: there are none for that explainer.
    """
    if name not in HYPERPARAMETERS:
        raise InputError(f"No settings to compare for {name!r}. {did_you_mean(name, HYPERPARAMETERS)}")
    scale = min(spec.input_size) / REFERENCE_SIDE
    return tuple(
        {option: _scaled(option, value, scale) for option, value in each.items()} for each in HYPERPARAMETERS[name]
    )


def similarity(maps: Sequence[Tensor]) -> Similarity:
    """How alike the maps of the same images under several settings are.

    Each map is divided by its largest absolute value. The range SSIM assumes is 2 for an image of which some
    map has negative values, else 1. Maps that do not vary: see `likeness`.

    Args:
        maps: one (B, 1, H, W) for each setting, two or more, at least 11 x 11 pixels.

    Raises:
        InputError: fewer than two maps, or such that cannot be compared.
    """
    if len(maps) < 2:
        raise InputError(f"Robustness compares the maps of at least two settings, found {len(maps)}.")
    for other in maps:
        comparable(maps[0], other)
    negative = torch.stack([(each < 0).flatten(1).any(dim=1) for each in maps]).any(dim=0)
    ranges = torch.where(negative, 2.0, 1.0).tolist()
    scaled = [unit(each) for each in maps]
    histograms = [gradient_histograms(each) for each in scaled]
    flattened = [rows(each) for each in scaled]
    pairs = list(combinations(range(len(maps)), 2))
    return Similarity(
        _mean([ssim(scaled[a], scaled[b], ranges, win_size=SSIM_WINDOW) for a, b in pairs]),
        _mean([pearson(histograms[a], histograms[b]) for a, b in pairs]),
        _mean([spearman(flattened[a], flattened[b]) for a, b in pairs]),
    )


def accuracy_spread(scores: Tensor) -> float:
    """``sqrt(mean over images of the variance over settings)`` of any metric, (settings, B); lower = more robust.

    The variance is that of the population (NumPy's default), as in the source.
    """
    return float(scores.double().var(dim=0, correction=0).mean().sqrt())


def _scaled(option: str, value: Any, scale: float) -> Any:
    if option == "patch":
        return max(1, round(value * scale))
    if option == "fill":
        name, radius = value.split("-")
        return f"{name}-{float(radius) * scale:g}"
    return value


def _mean(per_pair: Sequence[Floats]) -> Tensor:
    return torch.stack([torch.from_numpy(values) for values in per_pair]).mean(dim=0).float()
