"""The work on one file, as functions that worker processes can run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import ImageReadError, IntegrityError, ProblemReason
from pipeline.ingest.readers import ReadImage, ReadLimits, load_bytes, read_bytes, read_header
from pipeline.types import StoreTransform


@dataclass(frozen=True)
class Surveyed:
    """A file as first met: its hash, the data type its pixels will have, or why it cannot be used."""

    file_sha256: str | None
    bits: int | None
    reason: ProblemReason | None = None
    detail: str = ""


@dataclass(frozen=True)
class Decoded:
    """A decoded file: facts for the images table and its place in the pixel store."""

    facts: dict[str, Any]
    stored: NDArray[Any]


@dataclass(frozen=True)
class Refused:
    """A file that cannot be used, and why."""

    reason: ProblemReason
    detail: str


def survey(path: str, *, data_root: Path, limits: ReadLimits) -> Surveyed:
    """Hash a file and read its header; nothing is decoded.

    Args:
        path: relative to `data_root`.
        data_root: folder that no file may lie outside of, symbolic links followed.
        limits: sizes beyond which a file is refused.
    """
    digest = None
    try:
        data = load_bytes(_inside(data_root, path), limits)
        digest = hashlib.sha256(data).hexdigest()
        return Surveyed(digest, read_header(data, limits).bits)
    except ImageReadError as error:
        return Surveyed(digest, None, error.reason, str(error))


def decode(
    path: str, file_sha256: str, *, data_root: Path, limits: ReadLimits, size: int, salt: str
) -> Decoded | Refused:
    """Decode a surveyed file and place it in a `size` x `size` store.

    Raises:
        IntegrityError: the file is no longer the one that was surveyed.
    """
    try:
        data = load_bytes(_inside(data_root, path), limits)
        if hashlib.sha256(data).hexdigest() != file_sha256:
            raise IntegrityError(f"{path} changed while it was being ingested. Run again once the data rest.")
        image = read_bytes(data, limits, salt=salt)
    except ImageReadError as error:
        return Refused(error.reason, str(error))
    stored, transform = letterbox(image.pixels, size)
    placed = {"scale": transform.scale, "pad_x": transform.pad_x, "pad_y": transform.pad_y}
    return Decoded({**_facts(image), **placed, "file_sha256": file_sha256}, stored)


def _inside(data_root: Path, path: str) -> Path:
    root = data_root.resolve()
    try:
        place = (root / path).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a loop of links, a NUL in the name
        raise ImageReadError(ProblemReason.UNREADABLE, f"the path cannot be followed ({error})") from error
    if not place.is_relative_to(root):
        raise ImageReadError(
            ProblemReason.OUTSIDE_DATA_ROOT, "leads out of the data root; copy the file into it or choose a wider root"
        )
    return place


def _facts(image: ReadImage) -> dict[str, Any]:
    height, width = image.pixels.shape
    return {
        "image_id": image_id(image.pixels),
        "phash": str(imagehash.phash(Image.fromarray(to_8_bits(image.pixels)))),
        "width": width,
        "height": height,
        "bits": image.bits,
        "photometric": image.photometric,
        "file_format": image.file_format,
        "modality": image.modality,
        "manufacturer": image.manufacturer,
        "burned_in_annotation": image.burned_in_annotation,
        "patient_id": image.patient_id,
        "study_id": image.study_id,
        "view": image.view,
        "sex": image.sex,
        "age": image.age,
    }


def image_id(pixels: NDArray[Any]) -> str:
    """Hex sha256 of shape, data type and little-endian bytes."""
    kind = pixels.dtype.newbyteorder("<")
    digest = hashlib.sha256(f"{pixels.shape}{kind.str}".encode())
    digest.update(np.ascontiguousarray(pixels, dtype=kind).data)
    return digest.hexdigest()


def to_8_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """uint8 as it is, uint16 by its upper byte."""
    return pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)


def letterbox(pixels: NDArray[Any], size: int) -> tuple[NDArray[Any], StoreTransform]:
    """An image (height, width) scaled to fit a black `size` x `size` square, centred, and the transform used."""
    height, width = pixels.shape
    transform = StoreTransform.fit(width, height, size)
    new_width, new_height = (max(1, round(side * transform.scale)) for side in (width, height))
    how = cv2.INTER_AREA if transform.scale < 1 else cv2.INTER_LINEAR
    left, top = int(transform.pad_x), int(transform.pad_y)
    square = np.zeros((size, size), dtype=pixels.dtype)
    square[top : top + new_height, left : left + new_width] = cv2.resize(
        pixels, (new_width, new_height), interpolation=how
    )
    return square, transform


def unletterbox(stored: NDArray[Any], transform: StoreTransform) -> NDArray[Any]:
    """The part of a stored square that holds the image."""
    width, height = (max(1, round(side * transform.scale)) for side in (transform.width, transform.height))
    left, top = int(transform.pad_x), int(transform.pad_y)
    return stored[top : top + height, left : left + width]
