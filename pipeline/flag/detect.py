"""Printed characters and markers on one image: a text model for words, a glyph detector for single letters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.flag.glyph_marks import detect_glyphs
from pipeline.flag.text_marks import READABLE, Grey8, detect_text, read_text
from pipeline.flag.vocabulary import classify
from pipeline.types import Box, Region, RegionKind

UNREAD_LARGEST = 0.05
"""A text box that cannot be read and whose shorter side exceeds this share of the longer image side is anatomy."""
MIN_SIDE = 32
"""Smaller images hold nothing readable, pixels."""
UNSURE = 0.3
"""Confidence of a mark that was found but could not be read."""


def detect(image: NDArray[Any], *, image_id: str) -> list[Region]:
    """Printed characters and markers, in the pixels of `image`, from top to bottom.

    Args:
        image: (H, W) float in [0, 1], or full-range uint8 or uint16; bright = dense.
        image_id: identity that the regions carry.

    Returns:
        Regions that do not repeat each other. Text is kept only when it stands in the public vocabulary.
    """
    grey = _as_grey8(image)
    if min(grey.shape) < MIN_SIDE:
        return []
    lines = detect_text(grey)
    found = _read_lines(grey, lines, image_id)
    glyphs, frames = detect_glyphs(grey, [region.box for region in found])
    for glyph in glyphs:
        kind, text = classify(glyph.text)
        found.append(Region(image_id, kind, glyph.box, "glyph", glyph.confidence, text))
    framed = [_with_frame(region, frames) for region in found]
    return sorted(_without_repeats(framed), key=lambda region: (region.box.y0, region.box.x0))


def _as_grey8(image: NDArray[Any]) -> Grey8:
    if np.issubdtype(image.dtype, np.floating):
        return np.asarray(np.rint(np.clip(image, 0, 1) * 255), dtype=np.uint8)
    return np.asarray(image if image.dtype == np.uint8 else np.rint(image / 257), dtype=np.uint8)


def _read_lines(grey: Grey8, lines: list[Box], image_id: str) -> list[Region]:
    readings = read_text([_crop(grey, box) for box in lines])
    regions = []
    for box, (text, score) in zip(lines, readings, strict=True):
        readable = score >= READABLE and any(character.isalnum() for character in text)
        if not readable and min(box.width, box.height) > UNREAD_LARGEST * max(grey.shape):
            continue
        kind, kept = classify(text if readable else None)
        regions.append(Region(image_id, kind, box, "text", score if readable else UNSURE, kept))
    return regions


def _crop(grey: Grey8, box: Box) -> Grey8:
    """The line with a small margin; standing lines are laid down."""
    margin = round(0.15 * min(box.width, box.height)) + 1
    rows = slice(max(int(box.y0) - margin, 0), int(box.y1) + margin + 1)
    crop = grey[rows, max(int(box.x0) - margin, 0) : int(box.x1) + margin + 1]
    return np.asarray(np.rot90(crop) if crop.shape[0] > 2 * crop.shape[1] else crop)


def _with_frame(region: Region, frames: list[Box]) -> Region:
    """A letter inside a circle or box becomes the whole mark."""
    for frame in frames:
        if frame.intersection(region.box) > 0.9 * region.box.area and frame.area < 12 * region.box.area:
            return Region(region.image_id, region.kind, frame, region.detector, region.confidence, region.text)
    return region


def _without_repeats(regions: list[Region]) -> list[Region]:
    """Drop a region that mostly lies inside one that is surer, or larger at equal confidence."""
    kept: list[Region] = []
    for region in sorted(regions, key=lambda r: (-_certainty(r.kind), -r.confidence, -r.box.area, r.box.as_tuple())):
        if all(region.box.intersection(other.box) <= 0.5 * min(region.box.area, other.box.area) for other in kept):
            kept.append(region)
    return kept


def _certainty(kind: RegionKind) -> int:
    """A mark that was read beats one that was not."""
    return int(kind != "glyph")
