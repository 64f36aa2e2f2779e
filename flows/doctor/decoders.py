"""Can every format be read? Each is tried on a picture of known pixels, through the reader that audits use."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLSLossless,
    RLELossless,
)

from flows.doctor import samples
from flows.doctor.check import Check, Place, checked
from pipeline.errors import ImageReadError
from pipeline.ingest.readers import ReadLimits, read_bytes

_LIMITS = ReadLimits(min_side=samples.SIDE)
_NEAR = 24
"""Grey levels by which a lossy picture may differ."""
_DICOM: dict[UID, tuple[bytes | None, str]] = {
    ImplicitVRLittleEndian: (None, "pydicom"),
    ExplicitVRLittleEndian: (None, "pydicom"),
    DeflatedExplicitVRLittleEndian: (None, "pydicom"),
    RLELossless: (samples.RLE, "pydicom"),
    JPEGBaseline8Bit: (samples.JPEG, "python-gdcm"),
    JPEGLossless: (samples.JPEG_LOSSLESS, "python-gdcm"),
    JPEGLSLossless: (samples.JPEG_LS, "pyjpegls"),
    JPEG2000Lossless: (samples.JPEG_2000, "pylibjpeg pylibjpeg-openjpeg"),
}
"""Transfer syntax -> codestream, packages that decode it."""


def checks(_: Place) -> Iterator[Check]:
    """DICOM's transfer syntaxes, then raster formats."""
    for syntax, (frame, packages) in _DICOM.items():
        yield _tried(f"DICOM {syntax.name.split(' (')[0]}", samples.x_ray(syntax, frame), packages)
    deep = "pylibjpeg" in get_decoder(JPEGExtended12Bit).available_plugins and _installed("libjpeg")
    found = "pylibjpeg-libjpeg is there" if deep else "not installed: such files are refused with reason no-decoder"
    yield Check("decoders", "DICOM JPEG Extended, 12 bits (optional, GPL)", "ok", found)
    for form in ("PNG", "JPEG", "WebP", "TIFF"):
        with io.BytesIO() as stream:
            Image.fromarray(samples.RAMP).save(stream, form, quality=95)
            yield _tried(form, stream.getvalue(), "pillow")
    with io.BytesIO() as stream:
        Image.fromarray(samples.RAMP.astype(np.uint16) * 257).save(stream, "PNG")
        yield _tried("PNG, 16 bits", stream.getvalue(), "pillow")


def _tried(name: str, data: bytes, packages: str) -> Check:
    fix = f"pip install --force-reinstall {packages}, with the versions of constraints.txt"
    try:
        pixels = read_bytes(data, _LIMITS).pixels
    except ImageReadError as error:
        return checked("decoders", name, False, f"{error.reason}: {error}", fix)
    grey = (pixels // 257 if pixels.dtype == np.uint16 else pixels).astype(int)
    same = grey.shape == samples.RAMP.shape and int(np.abs(grey - samples.RAMP).max()) <= _NEAR
    return checked("decoders", name, same, "decoded" if same else "decoded to other pixels than were written", fix)


def _installed(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None
