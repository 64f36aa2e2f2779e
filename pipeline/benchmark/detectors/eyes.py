"""Scores against marks that a person boxed on real x-rays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipeline.benchmark.detectors.misses import Miss, crop
from pipeline.benchmark.detectors.scoring import finder, is_false
from pipeline.errors import InputError
from pipeline.flag.detect import as_grey8, detect
from pipeline.ingest import ReadLimits, read_image
from pipeline.types import PRINTED_KINDS, Box

COLUMNS = ("path", "x0", "y0", "x1", "y1", "kind")
NOTHING = "none"
"""Kind of the row of an image that was looked at and bears no mark."""
Half = Literal["development", "held back"]


@dataclass(frozen=True)
class EyeMark:
    """A box drawn by a person, in pixels of the file, and what they called it."""

    kind: str
    box: Box


Truth = Mapping[str, tuple[EyeMark, ...]]
"""Path below the image folder -> its marks; empty where a person saw none."""


def half_of(path: str) -> Half:
    """Which half an image belongs to: parameters may be chosen on those whose path has an even sha1."""
    return "held back" if int(hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest(), 16) % 2 else "development"


def read_truth(path: Path) -> Truth:
    """The table ``path, x0, y0, x1, y1, kind`` (CSV; pixels of the file; kind ``none``: no mark on this image).

    Raises:
        InputError: no such table, a column is missing, or a box is empty.
    """
    try:
        table = pd.read_csv(path, dtype={"path": str, "kind": str}, usecols=list(COLUMNS))[list(COLUMNS)]
        rows = [(str(row[0]), str(row[-1]), row[1:-1]) for row in table.itertuples(index=False, name=None)]
        truth: dict[str, tuple[EyeMark, ...]] = {name: () for name, _, _ in rows}
        for name, kind, corners in rows:
            if kind != NOTHING:
                truth[name] = (*truth[name], EyeMark(kind, Box(*(float(value) for value in corners))))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} holds no marks ({type(error).__name__}: {error}). A CSV with the columns {', '.join(COLUMNS)} is "
            f"needed, boxes in pixels of the file; kind {NOTHING!r} says that a person looked and saw no mark."
        ) from error
    return truth


def score_file(
    folder: Path, name: str, marks: tuple[EyeMark, ...]
) -> tuple[dict[str, list[dict[str, Any]]], list[Miss]]:
    """Detect on one file and compare.

    Only what is printed on or laid over the picture is scored: people boxed no borders, corners or devices.

    Args:
        folder: that `name` is relative to.
        name: of the file.
        marks: on it.

    Returns:
        ``eye_marks``: one record a mark; ``eye_images``: one record, with the number of false boxes. And cut-outs of
        what was missed, of the development half only: the other half must not be looked at.
    """
    pixels = read_image(folder / name, ReadLimits()).pixels
    regions = [each for each in detect(pixels, image_id=name) if each.kind in PRINTED_KINDS]
    false = sum(is_false(each.box, (mark.box for mark in marks)) for each in regions)
    found = [finder(mark.kind, mark.box, regions) for mark in marks]
    place = {"image": name, "half": half_of(name)}
    records = [
        {**place, "kind": mark.kind, "found": region is not None, "found_kind": region.kind if region else None}
        for mark, region in zip(marks, found, strict=True)
    ]
    unit = as_grey8(pixels).astype(np.float32) / np.float32(255)
    misses = [
        Miss(f"eye {mark.kind}", mark.box, crop(unit, mark.box))
        for mark, region in zip(marks, found, strict=True)
        if region is None and half_of(name) == "development"
    ]
    return {"eye_marks": records, "eye_images": [{**place, "boxes": len(regions), "false": false}]}, misses
