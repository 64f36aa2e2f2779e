"""Places that look like a region but hold no mark: what removing anything of that size does to a prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.types import Box, StoreTransform

CANDIDATES = 200
"""Random places among which the most similar are chosen."""
MAX_IOU = 0.3
"""Two controls of one region may overlap this much."""
SPARE = 3
"""Controls drawn per one needed when several boxes must form sets that do not overlap."""

_Mask = NDArray[np.bool_]
_Floats = NDArray[np.float64]


def content_box(place: StoreTransform) -> Box:
    """The part of the store that holds the original, without letterbox padding, stored pixels."""
    width, height = round(place.width * place.scale), round(place.height * place.scale)
    return Box(place.pad_x, place.pad_y, place.pad_x + max(width, 1), place.pad_y + max(height, 1))


def removal_box(box: Box, content: Box, dilation: float) -> Box | None:
    """`box` (stored pixels) grown by `dilation`, snapped outwards to whole pixels and clipped to `content`."""
    grown = box.dilated(dilation)
    x0, y0 = max(math.floor(grown.x0), content.x0), max(math.floor(grown.y0), content.y0)
    x1, y1 = min(math.ceil(grown.x1), content.x1), min(math.ceil(grown.y1), content.y1)
    return Box(x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def box_mask(boxes: Sequence[Box], size: int) -> _Mask:
    """Union of whole-pixel `boxes`, (size, size)."""
    mask = np.zeros((size, size), dtype=np.bool_)
    for box in boxes:
        mask[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = True
    return mask


def matched_controls(
    image: NDArray[np.float32], box: Box, forbidden: _Mask, count: int, generator: np.random.Generator, content: Box
) -> list[Box]:
    """Up to `count` places on the same image, as large as `box` and as much like it as can be found.

    Of at most `CANDIDATES` random free places inside `content` the nearest in (mean, standard deviation, distance to
    the content's border), each standardised over the candidates, are taken; nearest first.

    Args:
        image: (S, S) in [0, 1].
        box: the region in stored pixels; snapped outwards to whole pixels.
        forbidden: (S, S), true where a detected region, with a margin, lies; no control touches it.
        count: how many are wanted.
        generator: decides the candidates.
        content: where the original lies in the store, see `content_box`.

    Returns:
        Whole-pixel boxes, pairwise IoU at most `MAX_IOU`; fewer than `count` where the image has no more room.
    """
    snapped = removal_box(box, content, 0)
    if snapped is None:
        return []
    places = _free_corners(forbidden, snapped, content)
    if len(places) > CANDIDATES:
        places = places[np.sort(generator.choice(len(places), CANDIDATES, replace=False))]
    corners = np.concatenate([[[int(snapped.y0), int(snapped.x0)]], places])
    features = _features(image, corners, (int(snapped.height), int(snapped.width)), content)
    spread = features[1:].std(axis=0) if len(places) else np.ones(3)
    distance = (((features - features[0]) / np.where(spread > 0, spread, 1)) ** 2).sum(axis=1)[1:]
    chosen: list[Box] = []
    for number in np.argsort(distance, kind="stable"):
        y, x = (float(value) for value in places[number])
        candidate = Box(x, y, x + snapped.width, y + snapped.height)
        if len(chosen) < count and all(candidate.iou(other) <= MAX_IOU for other in chosen):
            chosen.append(candidate)
    return chosen


def control_sets(
    image: NDArray[np.float32],
    boxes: Sequence[Box],
    forbidden: _Mask,
    count: int,
    generator: np.random.Generator,
    content: Box,
) -> list[list[Box]]:
    """Up to `count` sets of one matched control per box; the boxes of a set do not overlap.

    Overlap would remove less than the regions do and make the controls look harmless. Arguments as `matched_controls`.
    """
    wanted = count if len(boxes) == 1 else SPARE * count
    options = [matched_controls(image, box, forbidden, wanted, generator, content) for box in boxes]
    sets: list[list[Box]] = []
    for _ in range(count):
        chosen: list[Box] = []
        for choice in options:
            free = next((c for c in choice if not any(c.intersection(other) > 0 for other in chosen)), None)
            if free is None:
                return sets
            choice.remove(free)
            chosen.append(free)
        sets.append(chosen)
    return sets


def pooled_p_values(kinds: NDArray[Any], effects: _Floats, controls: Sequence[_Floats]) -> _Floats:
    """One-sided p-value of every group's excess = effect - mean effect of its controls, (n,); NaN where untested.

    (1 + #{null >= excess}) / (1 + N), the null being, over all groups of the same kind, each control's effect minus the
    mean of the other controls of its group.

    Args:
        kinds: (n,) kind of each group.
        effects: (n,).
        controls: effects of each group's controls; empty where the group was not tested.
    """
    p = np.full(len(kinds), np.nan)
    for kind in np.unique(kinds.astype(str)):
        members = [number for number in np.flatnonzero(kinds == kind).tolist() if len(controls[number])]
        if not members:
            continue
        null = np.sort(np.concatenate([leave_one_out(controls[number]) for number in members]))
        excess = np.array([effects[number] - controls[number].mean() for number in members])
        p[members] = (1 + len(null) - np.searchsorted(null, excess, side="left")) / (1 + len(null))
    return p


def leave_one_out(values: _Floats) -> _Floats:
    """Each value minus the mean of the others, (n,), n >= 2."""
    return np.asarray(values - (values.sum() - values) / (len(values) - 1))


def _free_corners(forbidden: _Mask, box: Box, content: Box) -> NDArray[np.int64]:
    """Top-left corners (y, x) at which the box lies in `content` and touches nothing forbidden, (n, 2)."""
    y0, x0 = int(content.y0), int(content.x0)
    window = forbidden[y0 : int(content.y1), x0 : int(content.x1)]
    height, width = int(box.height), int(box.width)
    total = cv2.integral(window.astype(np.uint8))
    touched = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    return np.asarray(np.argwhere(touched == 0) + np.array([y0, x0]), dtype=np.int64)


def _features(image: NDArray[np.float32], corners: NDArray[np.int64], size: tuple[int, int], content: Box) -> _Floats:
    """(n, 3): mean and standard deviation of the pixels, distance to the content's border in pixels."""
    y, x = corners[:, 0], corners[:, 1]
    bottom, right = y + size[0], x + size[1]

    def mean(total: _Floats) -> _Floats:
        return np.asarray((total[bottom, right] - total[y, right] - total[bottom, x] + total[y, x]) / math.prod(size))

    sums, squares = cv2.integral2(image, sdepth=cv2.CV_64F, sqdepth=cv2.CV_64F)
    average = mean(np.asarray(sums, dtype=np.float64))
    deviation = np.sqrt(np.maximum(mean(np.asarray(squares, dtype=np.float64)) - average**2, 0))
    border = np.min([x - content.x0, y - content.y0, content.x1 - right, content.y1 - bottom], axis=0)
    return np.stack([average, deviation, border], axis=1)
