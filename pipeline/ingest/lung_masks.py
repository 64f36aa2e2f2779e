"""Pictures with lung masks drawn by people: two folders in which a picture and its mask have the same name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.dataset import to_unit
from pipeline.errors import EmptyResultError, InputError
from pipeline.ingest.readers import ReadLimits, read_image

SERIES_PREFIX = 10
"""Pictures of unknown patients whose names begin with the same so many characters come from one publication or case
collection; they may show one patient and stay together."""


@dataclass(frozen=True)
class MaskedImage:
    """A picture and the lungs that a person drew on it.

    Attributes:
        name: file name without ending.
        group: patient, or series where the patient is unknown; never divided between training and test.
        picture: float32 (H, W) in [0, 1], bright = dense.
        lungs: (H, W).
    """

    name: str
    group: str
    picture: NDArray[np.float32]
    lungs: NDArray[np.bool_]


def read_masked_images(
    pictures: Path, masks: Path, patients: Mapping[str, str] | None = None, limits: ReadLimits | None = None
) -> list[MaskedImage]:
    """All pictures that have a mask, by name.

    Args:
        pictures: folder of images.
        masks: folder of masks: lung where not black.
        patients: file name without ending -> patient, where known.
        limits: sizes beyond which a file is refused.

    Raises:
        ImageReadError: a file cannot be read.
        InputError: a mask and its picture differ in size.
        EmptyResultError: no mask has a picture.
    """
    files = {path.stem: path for path in sorted(pictures.iterdir()) if path.is_file()}
    pairs = [(files[path.stem], path) for path in sorted(masks.iterdir()) if path.stem in files]
    if not pairs:
        raise EmptyResultError(f"No mask in {masks} has a picture of the same name in {pictures}.")
    known, allowed = patients or {}, limits or ReadLimits()
    return [_read(picture, mask, known.get(picture.stem), allowed) for picture, mask in pairs]


def _read(path: Path, mask: Path, patient: str | None, limits: ReadLimits) -> MaskedImage:
    pixels, lungs = read_image(path, limits).pixels, read_image(mask, limits).pixels > 0
    if pixels.shape != lungs.shape:
        raise InputError(f"{mask} is {lungs.shape[1]} x {lungs.shape[0]}, its picture {path} is not. Resize the mask.")
    group = f"patient {patient}" if patient else f"series {path.stem[:SERIES_PREFIX]}"
    return MaskedImage(path.stem, group, to_unit(pixels[None])[0, 0].numpy(), lungs)


def folds(images: list[MaskedImage], count: int) -> list[list[MaskedImage]]:
    """`images` in `count` parts of about equal size that share no group.

    Groups are dealt out in the order of the hash of their pixels, each to the part with the fewest pictures so far.

    Raises:
        InputError: fewer groups than parts.
    """
    members: dict[str, list[MaskedImage]] = {}
    for image in images:
        members.setdefault(image.group, []).append(image)
    if len(members) < count:
        raise InputError(f"{len(members)} patients or series cannot be divided into {count} parts. Ask for fewer.")
    parts: list[list[MaskedImage]] = [[] for _ in range(count)]
    for group in sorted(members.values(), key=lambda group: min(_digest(image.picture) for image in group)):
        min(parts, key=len).extend(group)
    return parts


def _digest(picture: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()
