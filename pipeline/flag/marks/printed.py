"""Printed characters: a text model for words, a letter network for single letters, joined without repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.flag.found import Found, Grey8
from pipeline.flag.marks.glyphs import Letter, detect_letters
from pipeline.flag.marks.identifiers import spread_over_blocks
from pipeline.flag.marks.lines import find_lines
from pipeline.flag.marks.text import READABLE, read_text
from pipeline.flag.marks.vocabulary import classify
from pipeline.types import Box, RegionKind

UNSURE = 0.3
"""Confidence of a mark that was found but could not be read."""


def find_printed(image: Grey8, taken: Sequence[Found]) -> list[Found]:
    """Words, numbers, markers and single letters. Text is kept only when it stands in the public vocabulary."""
    letters, marks, frames = detect_letters(image)
    read = _read_lines(image, find_lines(image, [letter.box for letter in letters]), letters)
    # On single letters the letter network is the better judge: it knows them turned, mirrored and framed.
    found = [each for each in read if not (_is_single(each) and _covered(each.box, [mark.box for mark in marks]))]
    known = [each.box for each in (*taken, *found) if each.kind != "glyph"]
    found += [_as_found(mark) for mark in marks if not _covered(mark.box, known)]
    return spread_over_blocks(_without_repeats([_with_frame(each, frames) for each in found]))


def _is_single(found: Found) -> bool:
    return found.kind in ("side", "panel", "glyph") and len(found.text or "") <= 1


def _as_found(mark: Letter) -> Found:
    kind, text = ("word", None) if mark.count > 1 else classify(mark.text)
    return Found(kind, mark.box, mark.confidence, "glyph", text)


def _covered(box: Box, known: Sequence[Box]) -> bool:
    return sum(box.intersection(other) for other in known) > 0.5 * box.area


def _read_lines(grey: Grey8, lines: list[Box], letters: Sequence[Letter]) -> list[Found]:
    """What was read on each box; one that could not be read counts only if letters stand in it."""
    regions = []
    for box, (text, score) in zip(lines, _readings([_crop(grey, box) for box in lines]), strict=True):
        readable = _is_readable(text, score)
        if not readable and not any(box.intersection(each.box) > 0.5 * each.box.area for each in letters):
            continue
        kind, kept = classify(text if readable else None)
        regions.append(Found(kind, box, score if readable else UNSURE, "text", kept))
    return regions


def _readings(crops: Sequence[Grey8]) -> list[tuple[str, float]]:
    """What stands on each crop; one that cannot be read is turned upside down and read again."""
    readings = read_text(crops)
    unread = [number for number, reading in enumerate(readings) if not _is_readable(*reading)]
    for number, turned in zip(unread, read_text([np.rot90(crops[number], 2) for number in unread]), strict=True):
        if _is_readable(*turned):
            readings[number] = turned
    return readings


def _is_readable(text: str, score: float) -> bool:
    return score >= READABLE and any(character.isalnum() for character in text)


def _crop(grey: Grey8, box: Box) -> Grey8:
    """The line with a small margin; standing lines are laid down."""
    margin = round(0.15 * min(box.width, box.height)) + 1
    rows = slice(max(int(box.y0) - margin, 0), int(box.y1) + margin + 1)
    crop = grey[rows, max(int(box.x0) - margin, 0) : int(box.x1) + margin + 1]
    return np.asarray(np.rot90(crop) if crop.shape[0] > 2 * crop.shape[1] else crop)


def _with_frame(region: Found, frames: list[Box]) -> Found:
    """A letter inside a circle or box becomes the whole mark."""
    for frame in frames:
        if frame.intersection(region.box) > 0.9 * region.box.area and frame.area < 12 * region.box.area:
            return replace(region, box=frame)
    return region


def _without_repeats(regions: list[Found]) -> list[Found]:
    """Drop a region that mostly lies inside one that is surer, or larger at equal confidence."""
    kept: list[Found] = []
    for region in sorted(regions, key=lambda r: (-_certainty(r.kind), -r.confidence, -r.box.area, r.box.as_tuple())):
        if all(region.box.intersection(other.box) <= 0.5 * min(region.box.area, other.box.area) for other in kept):
            kept.append(region)
    return kept


def _certainty(kind: RegionKind) -> int:
    """A mark that was read beats one that was not."""
    return int(kind != "glyph")
