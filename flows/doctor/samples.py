"""A DICOM x-ray of 16 x 16 pixels in every compression: what decoders are tried with.

The frames are the codestreams of one picture whose pixels count from 0 to 255; made with GDCM, they are kept here so
that trying a decoder takes no encoder.
"""

from __future__ import annotations

import io
from base64 import b64decode
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ComputedRadiographyImageStorage, ExplicitVRLittleEndian

SIDE: Final = 16
RAMP: Final[NDArray[np.uint8]] = np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE)

# fmt: off
JPEG: Final = b64decode(
    "/9j/2wBDAAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQH/wAALCAAQABABAR"
    "EA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0Kx"
    "wRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpK"
    "Wmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/AP529N/4Jt/d/wCJB6f8u3/2Nega"
    "b/wTb+7/AMSD0/5dv/sa/vA03/gm393/AIkHp/y7f/Y16Bpv/BNv7v8AxIPT/l2/+xr/2Q=="
)
JPEG_LOSSLESS: Final = b64decode(
    "/9j/wwALCAAQABABAREA/8QAFgABAQEAAAAAAAAAAAAAAAAAAQUI/9oACAEBAAEAAM/qqqqq0FVVVVaCqqqqtBVVVVWgqqqqrQVVVVVoKqqqq0"
    "FVVVVaCqqqqtBVVVVWgqqqqrQVVVVVoKqqqq0FVVVVaCqqqqtBVVVVX//Z"
)
JPEG_LS: Final = b64decode(
    "/9j/9wALCAAQABABAREA/9oACAEBAAAAAK22/b/+ATSv/wAn/3j3/3nP/3Nf/2x//y3/fqf/el//aH//e/9/n/98/3/X/36//0D/2Q=="
)
JPEG_2000: Final = b64decode(
    "/0//UQApAAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAABBwEB/1IADAAAAAEAAwQEAAH/XAANQEBISFBISFBISFD/ZAAqAAFDcm"
    "VhdGVkIGJ5IEdEQ00vT3BlbkpQRUcgdmVyc2lvbiAyLjMuMP+QAAoAAAAAAD0AAf+T34AwB65A9Hh/wHwhx9oGDP9/Cz2EwDoUPqBQIhkDf91S"
    "P8ARQfOFADahPaY0YH//2QA="
)
RLE: Final = b64decode(
    "AQAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA8AAQIDBAUGBwgJCgsMDQ4PDx"
    "AREhMUFRYXGBkaGxwdHh8PICEiIyQlJicoKSorLC0uLw8wMTIzNDU2Nzg5Ojs8PT4/D0BBQkNERUZHSElKS0xNTk8PUFFSU1RVVldYWVpbXF1e"
    "Xw9gYWJjZGVmZ2hpamtsbW5vD3BxcnN0dXZ3eHl6e3x9fn8PgIGCg4SFhoeIiYqLjI2Ojw+QkZKTlJWWl5iZmpucnZ6fD6ChoqOkpaanqKmqq6"
    "ytrq8PsLGys7S1tre4ubq7vL2+vw/AwcLDxMXGx8jJysvMzc7PD9DR0tPU1dbX2Nna29zd3t8P4OHi4+Tl5ufo6err7O3u7w/w8fLz9PX29/j5"
    "+vv8/f7/"
)
# fmt: on


def x_ray(syntax: UID, frame: bytes | None = None) -> bytes:
    """A DICOM file of `RAMP` with the transfer syntax `syntax`; `frame` is its codestream where that is compressed."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = UID("2.25.1")
    dataset.Modality, dataset.PhotometricInterpretation = "CR", "MONOCHROME2"
    dataset.Rows = dataset.Columns = SIDE
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = RAMP.tobytes() if frame is None else encapsulate([frame])
    dataset["PixelData"].VR = "OB" if syntax != ExplicitVRLittleEndian else "OW"
    with io.BytesIO() as stream:
        dataset.save_as(stream, enforce_file_format=True)
        return stream.getvalue()
