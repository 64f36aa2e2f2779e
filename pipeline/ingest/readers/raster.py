"""PNG, JPEG, WebP, TIFF, GIF and BMP, decoded by Pillow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline.errors import ImageReadError, ProblemReason
from pipeline.ingest.readers.image import ImageHeader, ReadImage
from pipeline.ingest.readers.limits import ReadLimits
from pipeline.ingest.readers.sniff import FileFormat

_PHOTOMETRIC: Final = {
    "1": "MONOCHROME2",
    "L": "MONOCHROME2",
    "LA": "MONOCHROME2",
    "P": "PALETTE COLOR",
    "CMYK": "CMYK",
}
_DEEP_MODES: Final = ("I;16", "I;16B", "I;16L", "I")
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_WHITE_IS_ZERO = 258, 262, 0
_opening = threading.Lock()


def read_header(data: bytes, file_format: FileFormat, limits: ReadLimits) -> ImageHeader:
    """What the file's header says; see `pipeline.ingest.readers.read_header`."""
    with _opened(data, file_format, limits) as image:
        return _header(image, file_format)


def read(data: bytes, file_format: FileFormat, limits: ReadLimits) -> ReadImage:
    """Decode a raster file: upright by its EXIF orientation, flattened on black, colour by ITU-R 601 luma.

    Samples of more than 8 bits stay: 16-bit values as they are, 12-bit TIFF scaled to 16.
    """
    with _opened(data, file_format, limits) as image:
        header = _header(image, file_format)
        image.load()
        upright = ImageOps.exif_transpose(image)
        pixels = _deep(upright, image, header.bits) if header.bits > 8 else _shallow(upright)
    return ReadImage(np.ascontiguousarray(pixels), header.bits, header.photometric, header.file_format)


@contextmanager
def _opened(data: bytes, file_format: FileFormat, limits: ReadLimits) -> Iterator[Image.Image]:
    with _open(data, file_format) as image:
        limits.check_image(*image.size)
        frames = getattr(image, "n_frames", 1)
        # A camera's JPEG may carry previews behind the picture (Pillow: MPO); only the first image is the picture.
        if frames > 1 and file_format != FileFormat.JPEG:
            raise ImageReadError(
                ProblemReason.MULTI_FRAME, f"{file_format} with {frames} frames; save the radiograph as one image"
            )
        yield image


def _open(data: bytes, file_format: FileFormat) -> Image.Image:
    """Read the header. Pillow's own pixel limit, a module global, steps aside for ours, asked right after."""
    names = ("JPEG", "MPO") if file_format == FileFormat.JPEG else (file_format.value,)
    with _opening:
        theirs, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(BytesIO(data), formats=names)
        except OSError as error:
            if not _is_short(data, file_format):
                raise
            message = f"begins like {file_format} and ends early; copy it again"
            raise ImageReadError(ProblemReason.TRUNCATED, message) from error
        finally:
            Image.MAX_IMAGE_PIXELS = theirs


def _is_short(data: bytes, file_format: FileFormat) -> bool:
    """Whether a file without a readable header lacks bytes, as far as its format tells."""
    if file_format == FileFormat.WEBP:
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    if file_format == FileFormat.JPEG:
        return b"\xff\xd9" not in data
    return file_format == FileFormat.PNG and b"IEND" not in data


def _header(image: Image.Image, file_format: FileFormat) -> ImageHeader:
    mode = image.mode
    deep = mode in _DEEP_MODES
    if mode == "F" or (mode == "I" and file_format != FileFormat.PNG):
        raise ImageReadError(
            ProblemReason.UNSUPPORTED_FORMAT,
            f"{file_format} with 32-bit or signed samples, whose black and white are not defined; save it with 16 bits",
        )
    bits = _deep_bits(image) if deep else 1 if mode == "1" else 8
    photometric = "MONOCHROME2" if deep else _PHOTOMETRIC.get(mode, "RGB")
    return ImageHeader(image.width, image.height, bits, photometric, file_format.value)


def _deep_bits(image: Image.Image) -> int:
    tags: Any = getattr(image, "tag_v2", {})
    return int(tags.get(_TIFF_BITS, (16,))[0])


def _deep(upright: Image.Image, opened: Image.Image, bits: int) -> NDArray[Any]:
    top = (1 << bits) - 1
    values = np.asarray(upright).astype(np.uint32)
    tags: Any = getattr(opened, "tag_v2", {})
    # Pillow turns white-is-zero TIFF around for 8 bits but not for 16.
    if tags.get(_TIFF_PHOTOMETRIC) == _TIFF_WHITE_IS_ZERO:
        values = top - values
    return ((values * 65535 + top // 2) // top).astype(np.uint16)


def _shallow(upright: Image.Image) -> NDArray[Any]:
    if upright.has_transparency_data:
        picture = upright.convert("RGBA")
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        upright = Image.alpha_composite(black, picture)
    if upright.mode not in ("1", "L"):
        upright = upright.convert("RGB")
    return np.asarray(upright.convert("L"))
