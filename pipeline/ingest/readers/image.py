"""What a reader hands over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ImageHeader:
    """What a file says of itself before any pixel is decoded; width and height in pixels, EXIF rotation not applied.

    Attributes:
        bits: bits a grey sample has, 1 to 16; what `pixels` will use.
        photometric: a DICOM photometric interpretation; rasters get the one that fits best.
        file_format: DICOM, PNG, JPEG, WEBP, TIFF, GIF or BMP.
    """

    width: int
    height: int
    bits: int
    photometric: str
    file_format: str

    @property
    def dtype(self) -> type[np.uint8 | np.uint16]:
        """Data type of the pixels this file will give."""
        return np.uint8 if self.bits <= 8 else np.uint16


@dataclass(frozen=True)
class ReadImage:
    """A decoded image. Unknown is None; `patient_id` and `study_id` are salted hashes, never what the file holds.

    Attributes:
        pixels: (height, width) uint8 or uint16, bright = dense, full range of the type.
        age: years.
    """

    pixels: NDArray[Any]
    bits: int
    photometric: str
    file_format: str
    modality: str | None = None
    view: str | None = None
    sex: str | None = None
    age: float | None = None
    patient_id: str | None = None
    study_id: str | None = None
    manufacturer: str | None = None
    burned_in_annotation: str | None = None
