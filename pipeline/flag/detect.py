"""All regions of one image: every detector in turn, each told what the ones before it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError, did_you_mean
from pipeline.flag.devices import find_devices
from pipeline.flag.film.borders import find_borders
from pipeline.flag.film.corners import find_corners
from pipeline.flag.found import Detector, Found, Grey8
from pipeline.flag.marks.arrows import find_arrows
from pipeline.flag.marks.printed import find_printed
from pipeline.flag.marks.rulers import find_rulers
from pipeline.types import PRINTED_KINDS, Region

MIN_SIDE = 32
"""Smaller images hold nothing readable, pixels."""

DETECTORS: dict[str, Detector] = {
    "borders": find_borders,
    "corners": find_corners,
    "print": find_printed,
    "rulers": find_rulers,
    "arrows": find_arrows,
    "devices": find_devices,
}
"""By name, in the order in which they look."""


def detect(image: NDArray[Any], *, image_id: str, detectors: Sequence[str] | None = None) -> list[Region]:
    """Regions of every kind, in the pixels of `image`, from top to bottom.

    Args:
        image: (H, W) float in [0, 1], or full-range uint8 or uint16; bright = dense.
        image_id: identity that the regions carry.
        detectors: names of `DETECTORS`; all when None.

    Returns:
        Regions that do not repeat each other. Text is kept only when it stands in the public vocabulary.

    Raises:
        InputError: there is no detector of that name.
    """
    for name in detectors or ():
        if name not in DETECTORS:
            raise InputError(f"There is no detector {name!r}. {did_you_mean(name, DETECTORS)}")
    grey = as_grey8(image)
    if min(grey.shape) < MIN_SIDE:
        return []
    found: list[Found] = []
    for name, find in DETECTORS.items():
        if detectors is None or name in detectors:
            new = find(grey, [each for each in found if each.kind != "glyph"])
            # A mark that could not be read as a letter is whatever a later detector knows it to be.
            found = [each for each in found if each.kind != "glyph" or not _explained(each, new)] + new
    regions = [Region(image_id, each.kind, each.box, each.method, each.confidence, each.text) for each in found]
    return sorted(regions, key=lambda region: (region.box.y0, region.box.x0, region.kind))


def _explained(glyph: Found, new: Sequence[Found]) -> bool:
    return any(glyph.box.intersection(each.box) > 0.5 * glyph.box.area for each in new if each.kind in PRINTED_KINDS)


def as_grey8(image: NDArray[Any]) -> Grey8:
    """Float in [0, 1], uint8 or uint16 (H, W) -> uint8."""
    if np.issubdtype(image.dtype, np.floating):
        return np.asarray(np.rint(np.clip(image, 0, 1) * 255), dtype=np.uint8)
    return np.asarray(image if image.dtype == np.uint8 else np.rint(image / 257), dtype=np.uint8)
