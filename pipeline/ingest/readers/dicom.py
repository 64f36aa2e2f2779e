"""DICOM files: what is accepted, and the few header fields that are kept.

Only the tags listed here are ever parsed, so a patient's name is never in memory, in a message or in a warning.
"""

from __future__ import annotations

import hashlib
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Final

import numpy as np
import pydicom
from pydicom import uid
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_preamble

from pipeline.errors import ImageReadError, ProblemReason
from pipeline.ingest import vocabulary
from pipeline.ingest.readers.dicom_pixels import PIXEL_TAGS, check_decodable, claimed_size, decode
from pipeline.ingest.readers.image import ImageHeader, ReadImage
from pipeline.ingest.readers.limits import ReadLimits

_FACTS: Final = (
    *("SOPClassUID", "Modality", "PatientID", "StudyInstanceUID", "PatientSex", "PatientAge"),
    *("ViewPosition", "Manufacturer", "BurnedInAnnotation"),
)
_RADIOGRAPHS: Final = frozenset(
    {
        uid.ComputedRadiographyImageStorage,
        uid.DigitalXRayImageStorageForPresentation,
        uid.DigitalXRayImageStorageForProcessing,
    }
)
_SECONDARY_CAPTURES: Final = frozenset(
    {
        uid.SecondaryCaptureImageStorage,
        uid.MultiFrameSingleBitSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    }
)
_XRAY_MODALITIES: Final = frozenset({"CR", "DX", "RG"})
_CAPTURE_MODALITIES: Final = _XRAY_MODALITIES | {"OT", "SC", "XC"}
"""What a secondary capture of a radiograph may call itself: scanned film is OT, a photograph of it XC."""
_FILE_META_GROUP: Final = 0x0002
_PIECE: Final = 1 << 18
_PIXEL_DATA_MARK: Final = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")


def read_header(data: bytes, limits: ReadLimits) -> ImageHeader:
    """What the data set says of its image; see `pipeline.ingest.readers.read_header`."""
    with _quiet():
        return _header(_parse(data, limits), limits)


def read(data: bytes, limits: ReadLimits, salt: str) -> ReadImage:
    """Decode a radiograph as a viewer would show it: modality and VOI transformation, bright = dense.

    Raises:
        ImageReadError: it is no radiograph, has several frames or no pixels, or no decoder fits.
    """
    with _quiet():
        dataset = _parse(data, limits)
        header = _header(dataset, limits)
        return ReadImage(
            pixels=decode(dataset),
            bits=header.bits,
            photometric=header.photometric,
            file_format=header.file_format,
            modality=text_of(dataset, "Modality"),
            view=vocabulary.view(text_of(dataset, "ViewPosition")),
            sex=vocabulary.sex(text_of(dataset, "PatientSex")),
            age=vocabulary.age(text_of(dataset, "PatientAge")),
            patient_id=_pseudonym(text_of(dataset, "PatientID"), salt),
            study_id=_pseudonym(text_of(dataset, "StudyInstanceUID"), salt),
            manufacturer=text_of(dataset, "Manufacturer"),
            burned_in_annotation=text_of(dataset, "BurnedInAnnotation"),
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Header slips are no news: pydicom would warn of them, and quote the value, which may be an identity."""
    with disable_value_validation(), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def read_facts(data: bytes, tags: Sequence[str], limits: ReadLimits) -> Dataset:
    """The elements `tags` of a data set, whatever object it is; a bomb is refused before it is inflated."""
    _check_inflated_size(data, limits)
    with _quiet():
        dataset = pydicom.dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=list(tags))
        for tag in tags:
            text_of(dataset, tag)  # pydicom parses a value when it is first asked for: what fails shall fail here
        return dataset


def _parse(data: bytes, limits: ReadLimits) -> Dataset:
    _check_inflated_size(data, limits)
    dataset = pydicom.dcmread(BytesIO(data), force=True, specific_tags=[*_FACTS, *PIXEL_TAGS])
    _check_radiograph(dataset)
    if "PixelData" not in dataset:
        # pydicom drops an encapsulated element that never ends, so a cut file looks as if it had no pixels.
        if any(mark in data for mark in _PIXEL_DATA_MARK):
            raise ImageReadError(ProblemReason.TRUNCATED, "the file ends within its pixel data; copy it again")
        raise ImageReadError(ProblemReason.NO_PIXELS, "a DICOM data set without PixelData; export the image itself")
    return dataset


def _check_inflated_size(data: bytes, limits: ReadLimits) -> None:
    """Refuse a deflated data set that would inflate beyond what a file may weigh; pydicom would just do it."""
    if uid.DeflatedExplicitVRLittleEndian.encode() not in data:
        return
    # Where the file meta group ends is found as pydicom finds it: the length that it claims may be a lie.
    stream = BytesIO(data)
    read_preamble(stream, force=True)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag >> 16 != _FILE_META_GROUP)
    if meta.get("TransferSyntaxUID") != uid.DeflatedExplicitVRLittleEndian:
        return
    if _inflates_beyond(limits.max_file_bytes, data, stream.tell()):
        raise ImageReadError(
            ProblemReason.TOO_LARGE, f"a deflated data set of more than {limits.max_file_bytes:,} bytes"
        )


def _inflates_beyond(allowed: int, data: bytes, start: int) -> bool:
    """Inflated piece by piece, none of which is kept: a bomb must not take memory to be found out."""
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    for place in range(start, len(data), _PIECE):
        piece = data[place : place + _PIECE]
        while piece and size <= allowed:
            size += len(inflater.decompress(piece, _PIECE))
            piece = inflater.unconsumed_tail
        if inflater.eof or size > allowed:
            break
    return size > allowed


def _check_radiograph(dataset: Dataset) -> None:
    """A data set that names neither class nor modality is taken as what the manifest says it is, like a PNG."""
    sop_class = uid.UID(text_of(dataset, "SOPClassUID") or "")
    modality = text_of(dataset, "Modality")
    if sop_class and sop_class not in _RADIOGRAPHS | _SECONDARY_CAPTURES:
        raise _not_a_radiograph(f"{_name(sop_class)} ({modality or 'no modality'})")
    allowed = _CAPTURE_MODALITIES if sop_class in _SECONDARY_CAPTURES else _XRAY_MODALITIES
    if modality and modality not in allowed:
        raise _not_a_radiograph(f"modality {modality}, {_name(sop_class)}")


def _name(sop_class: uid.UID) -> str:
    """A class by its name in the standard; what else stands there is not quoted."""
    if not sop_class:
        return "no SOP class"
    name = sop_class.name  # of an unknown one: itself
    return name if name != str(sop_class) else "an unknown SOP class"


def _not_a_radiograph(what: str) -> ImageReadError:
    message = f"{what}; CR, DX and secondary captures of them can be read. Leave it out of the manifest"
    return ImageReadError(ProblemReason.NOT_A_RADIOGRAPH, message)


def _header(dataset: Dataset, limits: ReadLimits) -> ImageHeader:
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if not (rows and columns):
        raise ImageReadError(ProblemReason.NO_PIXELS, "no Rows or Columns; export the image itself")
    limits.check_image(columns, rows)
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise ImageReadError(ProblemReason.MULTI_FRAME, f"{frames} frames; export the radiograph as one frame")
    check_decodable(dataset)
    claimed = claimed_size(dataset)
    if claimed is not None and claimed != (columns, rows):
        message = f"the header says {columns} x {rows} pixels, the compressed frame {claimed[0]} x {claimed[1]}"
        raise ImageReadError(ProblemReason.UNREADABLE, f"{message}; export it again")
    photometric = str(dataset.PhotometricInterpretation)
    bits = 8 if photometric == "PALETTE COLOR" else int(dataset.BitsStored)
    return ImageHeader(columns, rows, bits, photometric, "DICOM")


def text_of(dataset: Dataset, keyword: str) -> str | None:
    """The text of an element. A length that is too long swallows the elements behind it, the patient's name among
    them, but also their tags, which are no text: such a value counts as unknown.

    Raises:
        ImageReadError: the value is not of the kind that the file says.
    """
    try:
        value = str(dataset.get(keyword) or "").strip("\0 ")
    except Exception:  # whatever pydicom raises may quote the value, which may be an identity
        message = f"its {keyword} cannot be read; copy the file again or leave it out"
        raise ImageReadError(ProblemReason.UNREADABLE, message) from None
    return vocabulary.known(value) if value.isprintable() else None


def _pseudonym(identity: str | None, salt: str) -> str | None:
    return hashlib.sha256(f"{salt}{identity}".encode()).hexdigest()[:16] if identity else None
