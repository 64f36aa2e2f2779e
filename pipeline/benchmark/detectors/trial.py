"""One image of the benchmark: marks planted on copies of it, and what the detectors make of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.benchmark.detectors.misses import Miss, crop
from pipeline.benchmark.detectors.scoring import false_regions, finder, new_regions
from pipeline.benchmark.detectors.strata import COPIES, LONGEST, Stratum
from pipeline.benchmark.planting import Planted
from pipeline.benchmark.planting.planted import Image
from pipeline.flag.detect import DETECTORS, as_grey8, detect
from pipeline.flag.found import Found
from pipeline.ingest import ReadLimits, read_image
from pipeline.ingest.decode import to_8_bits
from pipeline.randomness import numpy_generator
from pipeline.types import Box, Region

_TRIES = 12
"""Draws of a mark until it can be seen and touches nothing else."""
_APART = 6.0
"""Smallest distance between a planted mark and any other or what was found before, pixels."""
_SEEN = 0.2
"""Change of grey (of 1), 95th percentile in its box, from which a mark can be seen."""


Records = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Trial:
    """What came of one image.

    Attributes:
        records: ``planted``: one a mark; ``boxes``: one a new box on a copy; ``copies``: one a copy; ``seconds``: one a
            detector, process time on the image without planted marks.
        misses: cut-outs of the marks that were not found.
    """

    records: Records
    misses: list[Miss]


@dataclass(frozen=True)
class Copy:
    """One image with marks planted on it."""

    image: Image
    planted: tuple[tuple[Stratum, Planted], ...]
    unplaced: tuple[str, ...]
    """Kinds for which there was no room."""


def load(path: Path) -> Image:
    """An image file as (H, W) float32 in [0, 1], longer side `LONGEST` pixels.

    Raises:
        ImageReadError: the file cannot be used.
    """
    pixels = to_8_bits(read_image(path, ReadLimits()).pixels)
    scale = LONGEST / max(pixels.shape)
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = pixels if scale == 1 else cv2.resize(pixels, size, interpolation=how)
    return np.asarray(resized, dtype=np.float32) / np.float32(255)


def try_image(image: Image, name: str, seed: int) -> Trial:
    """Plant, detect and score.

    Args:
        image: (H, W) in [0, 1].
        name: its identity, from which all randomness derives.
        seed: of the benchmark.

    Returns:
        See `Trial`.
    """
    before = detect(image, image_id=name)
    records: Records = {"planted": [], "boxes": [], "copies": [], "seconds": []}
    misses: list[Miss] = []
    for number, kinds in enumerate(COPIES):
        copy = plant(image, kinds, [region.box for region in before], (seed, name))
        new = new_regions(detect(copy.image, image_id=name), before)
        marks = [(each.kind, each.box) for _, each in copy.planted if each.box]
        found = [finder(kind, box, new) for kind, box in marks]
        false = false_regions(new, [box for _, box in marks], before)
        place = {"image": name, "copy": number}
        records["planted"] += [
            {**place, **_mark(stratum, mark, region)}
            for (stratum, mark), region in zip(copy.planted, found, strict=True)
        ]
        records["boxes"] += [{**place, **_box(region, marks, region in false)} for region in new]
        records["copies"].append({**place, "unplaced": len(copy.unplaced)})
        misses += [
            Miss(*mark, crop(copy.image, mark[1])) for mark, region in zip(marks, found, strict=True) if not region
        ]
    records["seconds"] = [{"image": name, "detector": key, "seconds": value} for key, value in _seconds(image).items()]
    return Trial(records, misses)


def plant(image: Image, kinds: Sequence[str], taken: Sequence[Box], seed: tuple[int, str]) -> Copy:
    """A copy of `image` with one mark of each of `kinds`, none of which touches another or a box in `taken`."""
    planted: list[tuple[Stratum, Planted]] = []
    unplaced: list[str] = []
    for kind in kinds:
        used = [*taken, *(mark.box for _, mark in planted if mark.box)]
        generator = numpy_generator(*seed, "plant", kind)
        stratum = Stratum.draw(kind, generator)
        for _ in range(_TRIES):
            candidate, mark = stratum.planter(generator)(image, generator)
            if mark.box and _free(mark.box, used) and _visible(image, candidate, mark.box):
                planted.append((stratum, mark))
                image = candidate
                break
        else:
            unplaced.append(kind)
    return Copy(image, tuple(planted), tuple(unplaced))


def _free(box: Box, used: Sequence[Box]) -> bool:
    return all(box.dilated(_APART).intersection(other) == 0 for other in used)


def _visible(before: Image, after: Image, box: Box) -> bool:
    x0, y0, x1, y1 = (int(value) for value in box.as_tuple())
    change = np.abs(after[y0:y1, x0:x1] - before[y0:y1, x0:x1])
    return float(np.percentile(change, 95)) >= _SEEN


def _mark(stratum: Stratum, mark: Planted, region: Region | None) -> dict[str, Any]:
    x0, y0, x1, y1 = (None,) * 4 if mark.box is None else mark.box.as_tuple()
    return {
        **asdict(stratum),
        "text": None if mark.kind == "identifier" else mark.text,  # made up, but nobody can see that from a table
        "frame": mark.frame,
        **{"x0": x0, "y0": y0, "x1": x1, "y1": y1},
        "found": region is not None,
        "found_kind": region.kind if region else None,
        "detector": region.detector if region else None,
        "confidence": region.confidence if region else None,
        "iou": region.box.iou(mark.box) if region and mark.box else None,
        "text_right": region.text == mark.text.upper() if region and region.text and mark.text else None,
    }


def _box(region: Region, marks: Sequence[tuple[str, Box]], false: bool) -> dict[str, Any]:
    """A new box: what it is called, and the kind of the mark it finds (None: it finds none)."""
    on = next((kind for kind, box in marks if finder(kind, box, [region])), None)
    x0, y0, x1, y1 = region.box.as_tuple()
    return {
        "kind": region.kind,
        "detector": region.detector,
        **{"x0": x0, "y0": y0, "x1": x1, "y1": y1},
        "on": on,
        "false": false,
    }


def _seconds(image: Image) -> dict[str, float]:
    """Process time of every detector, each told what the ones before it found; models were loaded before."""
    grey = as_grey8(image)
    found: list[Found] = []
    seconds = {}
    for name, find in DETECTORS.items():
        began = time.process_time()
        found += find(grey, found)
        seconds[name] = time.process_time() - began
    return seconds
