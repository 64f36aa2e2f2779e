"""Cleansed DICOM images: the original data set with filled pixels, saying what was done to it and from what.

DICOM PS3.3 C.7.6.1.1.2 (image type), C.12.4.1.1 (derivation and source image), C.12.1.1.5 (contributing equipment),
PS3.15 E.3.1 (clean pixel data). Everything not named here, windows and bit depth among it, stays as it was.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pydicom
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from pipeline import __version__
from pipeline.artifacts import atomic_file
from pipeline.errors import IntegrityError
from pipeline.export.dicom_pixels import check_fillable, encode, fill_stored, loss_of
from pipeline.export.images import ExportImage, Painting, Refused, Written
from pipeline.export.originals import original_bytes

SOFTWARE: Final = f"cxr-audit {__version__}"
LONGEST_DESCRIPTION: Final = 1024
"""Characters a DICOM short text (ST) holds."""
_ABOUT_OLD_PIXELS: Final = (
    "IconImageSequence",  # a thumbnail would still show what was removed
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries",
    "HistogramSequence",
    "DigitalSignaturesSequence",
    "MACParametersSequence",
    "InstanceCreationDate",
    "InstanceCreationTime",
    "InstanceCreatorUID",
)
"""Attributes that described, signed or dated the original's pixels and would be wrong beside new ones."""


def write_dicom(
    image: ExportImage, *, data_root: Path, folder: Path, how: Painting, syntax: UID, origin: str
) -> Written:
    """Write an image as DICOM at its own path below `folder`.

    An unchanged image is copied byte for byte: nothing was derived from it, and it stays the instance it is.

    Args:
        image: of a DICOM file.
        data_root: where the original lies.
        folder: root of the new tree.
        how: what fills need.
        syntax: transfer syntax of changed images, one of `TRANSFER_SYNTAXES`.
        origin: hash of all that the export follows from, transfer syntax included; part of the new UIDs, so that
            equal exports have equal ones and different exports never share one.
    """
    target = folder / image.path
    if target.exists():
        return Written(image.path, image.outcome)
    try:
        data = original_bytes(data_root, image.path, image.file_sha256)
        unchanged = image.outcome == "unchanged"
        made = data if unchanged else cleansed_bytes(data, image, how=how, syntax=syntax, origin=origin)
    except IntegrityError as error:
        return Written(image.path, "lost", str(error))
    except Refused as error:
        return Written(image.path, "refused", str(error))
    with atomic_file(target) as temporary:
        temporary.write_bytes(made)
    return Written(image.path, image.outcome)


def cleansed_bytes(data: bytes, image: ExportImage, *, how: Painting, syntax: UID, origin: str) -> bytes:
    """The DICOM file `data` with the holes of `image` filled; arguments as `write_dicom`.

    Raises:
        Refused: its pixels cannot be filled in the values it stores.
    """
    with _quiet():
        dataset = pydicom.dcmread(BytesIO(data), force=True)
        source_syntax = _source_syntax(dataset)
        check_fillable(dataset, source_syntax)
        loss = loss_of(dataset, source_syntax)
        pixels = fill_stored(dataset, image, how)
        _derive(dataset, image, origin)
        for name, value in loss.items():
            setattr(dataset, name, value)
        if image.cleared:
            _declare_clean(dataset)
        encode(dataset, pixels, syntax)
        stream = BytesIO()
        pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
        return stream.getvalue()


@contextmanager
def _quiet() -> Iterator[None]:
    """Header slips of the original are kept, not judged; a warning would quote the value, perhaps a name."""
    with disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _source_syntax(dataset: Dataset) -> UID:
    """The one named; else one of the two that a data set without file meta may have."""
    if dataset.file_meta.get("TransferSyntaxUID") is None:
        implicit = dataset.original_encoding[0]
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return UID(dataset.file_meta.TransferSyntaxUID)


def _derive(dataset: Dataset, image: ExportImage, origin: str) -> None:
    """Make `dataset` a new instance, in a series of its own, that points at the one it was made from."""
    _refer_to_source(dataset)
    for keyword in _ABOUT_OLD_PIXELS:
        if keyword in dataset:
            del dataset[keyword]
    rest = list(dataset.get("ImageType") or [])[2:]
    dataset.ImageType = ["DERIVED", "SECONDARY", *rest]
    earlier = str(dataset.get("DerivationDescription") or "")
    dataset.DerivationDescription = "; ".join(filter(None, [earlier, _description(image)]))[-LONGEST_DESCRIPTION:]
    instance, series = str(dataset.SOPInstanceUID), str(dataset.get("SeriesInstanceUID") or "")
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["instance", instance, image.file_sha256, origin])
    # Not by image: what was one series stays one.
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series", series, origin])
    equipment = list(dataset.get("ContributingEquipmentSequence") or [])
    dataset.ContributingEquipmentSequence = Sequence([*equipment, _equipment()])


def _refer_to_source(dataset: Dataset) -> None:
    source = Dataset()
    source.ReferencedSOPClassUID = dataset.SOPClassUID
    source.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    source.SpatialLocationsPreserved = "YES"
    source.PurposeOfReferenceCodeSequence = _code(codes.cid7202.SourceImageForImageProcessingOperation)
    dataset.SourceImageSequence = Sequence([source])


def _description(image: ExportImage) -> str:
    words = [f"{int(image.mask().sum()):,} pixels changed by {SOFTWARE}"]
    if image.removed:
        words.append("removed: " + ", ".join(f"{count} {kind}" for kind, count in image.removed))
    elif image.filled:
        words.append("filled as a decoy, no mark removed")
    if image.filled:
        words.append(f"filled by {', '.join(image.fills_used)}")
    if image.marker:
        words.append("neutral marker drawn")
    return "; ".join(words)


def _equipment() -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = _code(codes.cid7005.ModifyingEquipment)
    item.Manufacturer = item.ManufacturerModelName = "cxr-audit"
    item.SoftwareVersions = __version__
    item.ContributionDescription = "Printed or placed marks replaced by a fill"
    return item


def _declare_clean(dataset: Dataset) -> None:
    """Say that no identity is burned in; name the option only where the header was cleaned as well."""
    dataset.BurnedInAnnotation = "NO"
    if dataset.get("PatientIdentityRemoved") == "YES":
        option = codes.cid7050.CleanPixelDataOption
        present = list(dataset.get("DeidentificationMethodCodeSequence") or [])
        if option.value not in [item.get("CodeValue") for item in present]:
            dataset.DeidentificationMethodCodeSequence = Sequence([*present, *_code(option)])


def _code(code: Any) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return Sequence([item])
