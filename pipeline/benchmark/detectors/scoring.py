"""When a mark counts as found, and a box as false."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.types import Box, Region

FOUND_IOU = 0.3
FOUND_COVER = 0.5
"""Or this share of the mark lies in one box."""
FALSE_IOU = 0.1
FALSE_COVER = 0.3
"""A false box has less than this share of itself on any mark."""
SAME_IOU = 0.5
"""Two boxes of one kind, on an image and on the same image with marks planted, are the same finding."""
FILM = frozenset({"border", "corner"})
"""What lies around the picture. A band along a side that happens to cover a letter has not found the letter, nor has a
letter found the band it stands on; so these two kinds are scored apart from all others."""


def hits(box: Box, mark: Box) -> bool:
    """Whether `box` finds `mark`."""
    return box.iou(mark) >= FOUND_IOU or box.intersection(mark) >= FOUND_COVER * mark.area


def is_false(box: Box, marks: Iterable[Box]) -> bool:
    """Whether `box` lies on none of `marks`."""
    return all(box.iou(mark) < FALSE_IOU and box.intersection(mark) < FALSE_COVER * box.area for mark in marks)


def finder(kind: str, mark: Box, regions: Sequence[Region]) -> Region | None:
    """The region that finds `mark`: one of its own `kind` first, then the one that fits best; None when missed."""
    finding = [each for each in regions if (each.kind in FILM) == (kind in FILM) and hits(each.box, mark)]
    return max(finding, key=lambda each: (each.kind == kind, each.box.iou(mark)), default=None)


def new_regions(regions: Sequence[Region], before: Sequence[Region]) -> list[Region]:
    """Of `regions`, those that were not found `before` the planting."""
    return [
        each
        for each in regions
        if not any(each.kind == old.kind and each.box.iou(old.box) >= SAME_IOU for old in before)
    ]


def false_regions(new: Sequence[Region], planted: Sequence[Box], before: Sequence[Region]) -> list[Region]:
    """Of the `new` regions, those that touch no planted mark and lie on nothing that was found before."""
    return [
        each
        for each in new
        if all(each.box.intersection(mark) == 0 for mark in planted) and is_false(each.box, (old.box for old in before))
    ]
