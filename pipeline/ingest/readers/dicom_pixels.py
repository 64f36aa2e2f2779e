"""From DICOM pixel data to grey pixels, bright = dense, over the full range of uint8 or uint16.

DICOM PS3.3 C.7.6.3 (image pixel), C.11.1 (modality LUT), C.11.2 (VOI LUT and window), C.7.5.1.1.2 (pixel padding).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGExtended12Bit

from pipeline.errors import ImageReadError, ProblemReason
from pipeline.ingest.readers.codestream import frame_size

PIXEL_TAGS: Final = (
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PlanarConfiguration", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in ("Red", "Green", "Blue")),
    *(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
)
_LUMA: Final = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601, as Pillow uses for the rasters."""


def check_decodable(dataset: Dataset) -> None:
    """Refuse pixel data that nothing here can decode, before trying.

    Raises:
        ImageReadError: UNSUPPORTED_FORMAT for more than 16 bits, NO_DECODER for a transfer syntax without decoder.
    """
    if int(dataset.BitsStored) > 16:
        raise ImageReadError(
            ProblemReason.UNSUPPORTED_FORMAT, f"{dataset.BitsStored} bits a sample; x-rays have at most 16"
        )
    syntax = _transfer_syntax(dataset)
    try:
        plugins = get_decoder(syntax).available_plugins
    except NotImplementedError as error:
        raise ImageReadError(
            ProblemReason.NO_DECODER, f"transfer syntax {syntax.name}; export it uncompressed"
        ) from error
    deep_lossy = syntax == JPEGExtended12Bit and int(dataset.BitsStored) > 8
    if deep_lossy and "pylibjpeg" not in plugins:
        raise ImageReadError(
            ProblemReason.NO_DECODER,
            f"transfer syntax {syntax.name} with {dataset.BitsStored} bits, whose only decoder is under the GPL; "
            'pip install "cxr-audit[gpl-decoders]", or export it uncompressed',
        )
    if syntax.is_compressed and not plugins and not syntax.is_deflated:
        raise ImageReadError(ProblemReason.NO_DECODER, f"transfer syntax {syntax.name}; export it uncompressed")


def claimed_size(dataset: Dataset) -> tuple[int, int] | None:
    """(width, height) that compressed pixel data claim, None where they claim nothing."""
    if not _transfer_syntax(dataset).is_encapsulated:
        return None
    return frame_size(next(generate_frames(dataset.PixelData, number_of_frames=1)))


def decode(dataset: Dataset) -> NDArray[Any]:
    """Pixels (height, width) of a single-frame data set that passed `check_decodable`."""
    dataset.file_meta.TransferSyntaxUID = _transfer_syntax(dataset)
    stored = pixel_array(dataset)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return _full_range(_palette_grey(stored, dataset), 0.0, 1.0, bits=8)
    if stored.ndim == 3:
        return _full_range(stored @ _LUMA, 0.0, _top(dataset), bits=int(dataset.BitsStored))
    return _monochrome(stored, dataset)


def _transfer_syntax(dataset: Dataset) -> UID:
    """The one named; else the two that a data set without file meta may have."""
    named = dataset.file_meta.get("TransferSyntaxUID")
    if named:
        return UID(named)
    implicit = dataset.original_encoding[0]
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def _top(dataset: Dataset) -> float:
    return float((1 << int(dataset.BitsStored)) - 1)


def _palette_grey(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.float64]:
    colour = apply_color_lut(stored, dataset)
    unit: NDArray[np.float64] = colour @ _LUMA / np.iinfo(colour.dtype).max
    return unit


def _monochrome(stored: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    padding = _padding(stored, dataset)
    if padding.all():
        raise ImageReadError(ProblemReason.NO_PIXELS, "every pixel is padding (PixelPaddingValue)")
    values = apply_modality_lut(stored, dataset)
    shown, low, high = _shown(values, stored, ~padding, dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown, low, high = -shown, -high, -low
    shown[padding] = low
    return _full_range(shown, low, high, bits=int(dataset.BitsStored))


def _padding(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_]:
    """Pixels that fill the rectangle and were never exposed; their values mean nothing."""
    first = dataset.get("PixelPaddingValue")
    if first is None:
        return np.zeros(stored.shape, dtype=bool)
    last = dataset.get("PixelPaddingRangeLimit")
    # The value's own VR is ambiguous (US or SS): read both ends with the sign the pixels have.
    ends = [_as_stored(int(end), stored.dtype) for end in (first, first if last is None else last)]
    return (stored >= min(ends)) & (stored <= max(ends))


def _as_stored(value: int, dtype: np.dtype[Any]) -> int:
    return int(np.array(value & 0xFFFF, dtype=np.uint16).astype(np.int16)) if dtype.kind == "i" else value & 0xFFFF


def _shown(
    values: NDArray[Any], stored: NDArray[Any], exposed: NDArray[np.bool_], dataset: Dataset
) -> tuple[NDArray[np.float64], float, float]:
    """Values as displayed, and which of them are black and white.

    A window or VOI LUT decides; one that is malformed, or that shows all exposed pixels alike, does not count.
    Without one, 8-bit images keep their stored range and deeper ones, which seldom fill it, the range they use.
    """
    windowed = _windowed(values, dataset)
    if windowed is not None and np.ptp(windowed[0][exposed]) > 0:
        return windowed
    plain = values.astype(np.float64)
    if int(dataset.BitsStored) <= 8:
        low, high = sorted(apply_modality_lut(_stored_range(stored, dataset), dataset).astype(np.float64))
    else:
        low, high = plain[exposed].min(), plain[exposed].max()
    return plain, float(low), float(high)


def _windowed(values: NDArray[Any], dataset: Dataset) -> tuple[NDArray[np.float64], float, float] | None:
    try:
        first, last = _voi_inputs(dataset)
        # What the ends of its inputs become tells which outputs are black and white.
        ends = apply_voi_lut(np.array([first, last]), dataset).astype(np.float64)
        # pydicom looks values beyond a table's ends up modulo 2^16, so they are brought to the ends first.
        shown = apply_voi_lut(values.clip(first, last).astype(np.int64 if _has_voi_lut(dataset) else float), dataset)
        return shown.astype(np.float64), float(ends.min()), float(ends.max())
    except (ValueError, TypeError, AttributeError, NotImplementedError, IndexError):
        return None


def _voi_inputs(dataset: Dataset) -> tuple[float, float]:
    """The first and last value that a VOI LUT lists, or values far outside any window.

    Raises:
        ValueError: there is neither LUT nor window.
    """
    if _has_voi_lut(dataset):
        entries, first, _ = dataset.VOILUTSequence[0].LUTDescriptor
        return first, first + (entries or 1 << 16) - 1
    if not dataset.get("WindowWidth"):
        raise ValueError("neither VOI LUT nor window")
    return -1e9, 1e9


def _has_voi_lut(dataset: Dataset) -> bool:
    return bool(dataset.get("VOILUTSequence"))


def _stored_range(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.int64]:
    bits, signed = int(dataset.BitsStored), stored.dtype.kind == "i"
    return np.array([-(1 << bits - 1), (1 << bits - 1) - 1] if signed else [0, (1 << bits) - 1])


def _full_range(values: NDArray[Any], low: float, high: float, *, bits: int) -> NDArray[Any]:
    dtype = np.uint8 if bits <= 8 else np.uint16
    if high <= low:  # one value everywhere: black, as nothing says otherwise
        return np.zeros(values.shape, dtype=dtype)
    unit = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.ascontiguousarray(np.rint(unit * np.iinfo(dtype).max).astype(dtype))
