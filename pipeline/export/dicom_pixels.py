"""Stored values of a DICOM image: out, filled, and in again without loss."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.pixels.encoders.base import get_encoder
from pydicom.pixels.utils import pixel_array

from pipeline.errors import InputError, did_you_mean
from pipeline.export.images import ExportImage, Painting, Refused

TRANSFER_SYNTAXES: Final[dict[str, uid.UID]] = {
    "explicit": uid.ExplicitVRLittleEndian,
    "jpeg-ls": uid.JPEGLSLossless,
    "jpeg-2000": uid.JPEG2000Lossless,
    "rle": uid.RLELossless,
}
"""Names and UIDs of what can be written; all keep every value."""
_ENCODERS: Final = {uid.JPEGLSLossless: "pyjpegls", uid.JPEG2000Lossless: "pylibjpeg", uid.RLELossless: "pydicom"}
"""Plugins of pydicom. Not GDCM for RLE: it ends the process over colour images of an odd number of bytes."""
IMPLEMENTATION: Final = uid.generate_uid(entropy_srcs=["cxr-audit"])
"""Implementation Class UID (PS3.7 D.3.3.2): which program wrote the file."""
_LOSSY: Final = {
    uid.JPEGBaseline8Bit: "ISO_10918_1",
    uid.JPEGExtended12Bit: "ISO_10918_1",
    uid.JPEGLSNearLossless: "ISO_14495_1",
}
"""Syntaxes that always lose, and the terms of PS3.3 C.7.6.1.1.5.1 for them; JPEG 2000 may or may not."""


def transfer_syntax(name: str) -> uid.UID:
    """The transfer syntax called `name`.

    Raises:
        InputError: no such name, or nothing installed writes it.
    """
    if name not in TRANSFER_SYNTAXES:
        raise InputError(f"There is no transfer syntax {name!r}. {did_you_mean(name, TRANSFER_SYNTAXES)}")
    syntax = TRANSFER_SYNTAXES[name]
    if syntax.is_compressed and not get_encoder(syntax).is_available:
        raise InputError(f"No encoder for {syntax.name} is installed. Use --transfer-syntax explicit.")
    return syntax


def check_fillable(dataset: Dataset, syntax: uid.UID) -> None:
    """Refuse what has no stored grey or colour values to fill, or no identity to derive from.

    Raises:
        Refused: with the reason.
    """
    if not (dataset.get("SOPClassUID") and dataset.get("SOPInstanceUID")):
        raise Refused("it names no SOP class and instance, so nothing can be derived from it; export it as png")
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        raise Refused("its values are numbers of palette colours, not shades; export it as png")
    if int(dataset.BitsAllocated) not in (8, 16, 32):
        raise Refused(f"{dataset.BitsAllocated} bits are allocated to a sample; export it as png")
    if syntax == uid.ExplicitVRBigEndian:
        raise Refused("it is stored big endian, which DICOM has retired; convert it first, or export it as png")


def loss_of(dataset: Dataset, syntax: uid.UID) -> dict[str, Any]:
    """Attributes that keep the memory of a lossy compression which the header does not mention yet."""
    if syntax not in _LOSSY or dataset.get("LossyImageCompression") == "01":
        return {}
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    samples = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel", 1))
    ratio = samples * int(dataset.BitsAllocated) / 8 / len(frame)
    return {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": f"{ratio:.2f}",
        "LossyImageCompressionMethod": _LOSSY[syntax],
    }


def fill_stored(dataset: Dataset, image: ExportImage, how: Painting) -> NDArray[Any]:
    """Stored values (H, W) or (H, W, 3) with the holes of `image` filled; YBR comes back as RGB."""
    stored = pixel_array(dataset)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    return image.repainted(stored, how, padding=padding_range(dataset, stored.dtype), inverted=inverted)


def padding_range(dataset: Dataset, dtype: np.dtype[Any]) -> tuple[int, int] | None:
    """First and last stored value that mean "never exposed" (PS3.3 C.7.5.1.1.2); None: no such values."""
    first, last = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    if first is None:
        return None
    # The value's own VR is ambiguous (US or SS): both ends are read with the sign that the pixels have.
    signed = np.int16 if dtype.kind == "i" else np.uint16
    ends = [
        int(np.array(int(end) & 0xFFFF, np.uint16).astype(signed)) for end in (first, first if last is None else last)
    ]
    return min(ends), max(ends)


def encode(dataset: Dataset, pixels: NDArray[Any], syntax: uid.UID) -> None:
    """Put `pixels` into `dataset` and give it new file meta information.

    The extended offset table and the odd ends of the old encoding go; bits allocated, stored and sign stay.

    Raises:
        Refused: the encoder cannot hold such values, or what it wrote does not decode to them.
    """
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            del dataset[keyword]
    if pixels.ndim == 3:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    dataset.file_meta = _file_meta(dataset)
    dataset.preamble = b"\0" * 128
    little = pixels.astype(pixels.dtype.newbyteorder("<"))
    data = little.tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB" if int(dataset.BitsAllocated) == 8 else "OW"
    dataset["PixelData"].is_undefined_length = False
    if syntax.is_compressed:
        _compress(dataset, little, syntax)


def _file_meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION
    meta.ImplementationVersionName = "CXR-AUDIT"
    return meta


def _compress(dataset: Dataset, pixels: NDArray[Any], syntax: uid.UID) -> None:
    try:
        dataset.compress(syntax, pixels, encoding_plugin=_ENCODERS[syntax], generate_instance_uid=False)
        same = np.array_equal(pixel_array(dataset), pixels)
    except (ValueError, RuntimeError, NotImplementedError) as error:
        raise Refused(f"{syntax.name} cannot hold its values ({error}); use another transfer syntax") from error
    if not same:
        raise Refused(f"{syntax.name} does not give its values back; use another transfer syntax")
