"""Boxes drawn around the salient part of a map."""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import InputError, did_you_mean
from pipeline.explain.metrics.checks import check_maps
from pipeline.types import Box

BoxRule = Literal["component", "threshold", "energy", "mean"]
"""How a map becomes a box, see `saliency_box`."""
THRESHOLDS = (0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.45, 0.50)
"""Levels of the rule "threshold" that the generative-removal group's code sweeps."""
DEFAULT_LEVELS: dict[BoxRule, float] = {"threshold": 0.3, "energy": 0.5, "mean": 2.0}
"""Ours: the sources tune them on held-out images."""


def saliency_box(saliency: Tensor, rule: BoxRule = "component", *, level: float | None = None) -> list[Box]:
    """One box around the salient part of each map (B, 1, H, W), in pixels, clipped to the image.

    * ``component``: the largest 4-connected part above the map's mean (Dabkowski and Gal, NeurIPS 2017, as the
      CASM evaluation code has it, whose boxes lack the last row and column);
    * ``threshold``: all pixels of at least `level` times the maximum (the generative-removal group's code, whose
      boxes lack the first row and column; Fong and Vedaldi, ICCV 2017, call it value thresholding);
    * ``energy``: the fewest most salient pixels that hold `level` of the positive mass, and their equals (ibid., from
      memory);
    * ``mean``: all pixels of at least `level` times the mean of the positive part (ibid., from memory).

    Where no pixel qualifies, in a flat map or one without positive values, the box is the whole image: such a map
    prefers no place. (The group's code counts a map without positive values as an error at every level.)

    Raises:
        InputError: unknown rule, a level for "component", or maps that are not finite (B, 1, H, W).
    """
    check_maps(saliency)
    if rule not in get_args(BoxRule):
        raise InputError(f"Unknown rule {rule!r} for boxes. {did_you_mean(rule, get_args(BoxRule))}")
    if rule == "component" and level is not None:
        raise InputError("The rule 'component' takes no level: it cuts at the map's mean.")
    salient = _salient(saliency.double(), rule, level if level is not None else DEFAULT_LEVELS.get(rule, 0.0))
    tight = _largest_part if rule == "component" else _all
    return [tight(mask) for mask in salient[:, 0].cpu().numpy()]


def _salient(saliency: Tensor, rule: BoxRule, level: float) -> Tensor:
    """What belongs into the box, bool (B, 1, H, W)."""
    if rule == "component":
        return saliency > saliency.mean(dim=(2, 3), keepdim=True)
    positive = saliency.clamp_min(0)
    if rule == "threshold":
        lowest = level * positive.amax(dim=(2, 3), keepdim=True)
    elif rule == "mean":
        lowest = level * positive.mean(dim=(2, 3), keepdim=True)
    else:
        lowest = _least_of_the_top(positive.flatten(1), level)[:, None, None, None]
    return (positive >= lowest) & (positive > 0)


def _least_of_the_top(positive: Tensor, share: float) -> Tensor:
    """The smallest value (B,) among the fewest largest of (B, N) that together hold `share` of the sum."""
    falling = positive.sort(dim=1, descending=True).values
    held = falling.cumsum(dim=1)
    enough = held >= share * held[:, -1:]
    return falling.gather(1, enough.int().argmax(dim=1, keepdim=True))[:, 0]


def _largest_part(mask: NDArray[np.bool_]) -> Box:
    stats = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)[2][1:]
    if not len(stats):
        return _all(mask)
    x, y, width, height, _ = (int(value) for value in stats[stats[:, cv2.CC_STAT_AREA].argmax()])
    return Box(x, y, x + width, y + height)


def _all(mask: NDArray[np.bool_]) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return Box(0, 0, mask.shape[1], mask.shape[0])
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
