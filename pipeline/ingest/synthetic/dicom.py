"""A phantom as a DICOM file a digital x-ray unit could have sent, every value visibly made up."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from pipeline.ingest.synthetic.phantom import Phantom

BITS = 12
FIELD_MM = 400
"""Side of the detector, mm."""
_TOP = 2**BITS - 1
_INVERTED_SHARE = 0.2
"""Share of files that store inverted values (MONOCHROME1), as some units do."""
_VIEWS = {"PA": ("272481005", "postero-anterior"), "AP": ("399348003", "antero-posterior")}


def dicom_file(phantom: Phantom, identity: tuple[str | int, ...], rng: np.random.Generator) -> FileDataset:
    """A DX image for presentation (DICOM PS3.3 A.26), 12 bits in 16, explicit VR little endian.

    Args:
        phantom: the image and what is known of it.
        identity: fixes the unique identifiers.
        rng: draws what differs between files and says nothing of the class: dates, window, inversion.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = _uid("image", *identity)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _uid("cxr-audit")
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    _describe_patient(file, phantom)
    _describe_study(file, identity, rng)
    _describe_view(file, phantom)
    # A printed date counts as identifying (PS3.15); a side letter or PORTABLE does not.
    file.BurnedInAnnotation = "YES" if any(mark.kind == "date" for mark in phantom.marks) else "NO"
    _set_pixels(file, phantom, rng)
    return file


def _uid(*parts: str | int) -> UID:
    """A UID under the UUID-derived root 2.25 (DICOM PS3.5 B.2), fixed by `parts`."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def _describe_patient(file: Dataset, phantom: Phantom) -> None:
    file.PatientName = f"PHANTOM^{phantom.patient.upper()}"
    file.PatientID = phantom.patient
    file.PatientBirthDate = ""
    file.PatientSex = phantom.sex
    file.PatientAge = f"{phantom.age:03d}Y"


def _describe_study(file: Dataset, identity: tuple[str | int, ...], rng: np.random.Generator) -> None:
    day = (date(2020, 1, 1) + timedelta(days=int(rng.integers(366)))).strftime("%Y%m%d")
    time = f"{rng.integers(24):02d}{rng.integers(60):02d}00"
    file.SOPClassUID = DigitalXRayImageStorageForPresentation
    file.SOPInstanceUID = _uid("image", *identity)
    file.StudyInstanceUID = _uid("study", *identity)
    file.SeriesInstanceUID = _uid("series", *identity)
    file.StudyDate = file.SeriesDate = file.AcquisitionDate = file.ContentDate = day
    file.StudyTime = file.SeriesTime = file.AcquisitionTime = file.ContentTime = time
    file.AccessionNumber = file.ReferringPhysicianName = ""
    file.StudyID = "1"
    file.Modality = "DX"
    file.PresentationIntentType = "FOR PRESENTATION"
    file.Manufacturer = "cxr-audit phantom"
    file.SeriesNumber = file.InstanceNumber = 1
    file.LossyImageCompression = "00"


def _describe_view(file: Dataset, phantom: Phantom) -> None:
    file.BodyPartExamined = "CHEST"
    file.ViewPosition = phantom.view
    file.PatientOrientation = ["L", "F"]
    file.ImageLaterality = "U"
    file.ImageType = ["DERIVED", "PRIMARY"]
    file.DerivationDescription = "generated phantom"
    file.AnatomicRegionSequence = DicomSequence([_code("43799004", "Thorax")])
    file.ViewCodeSequence = DicomSequence([_code(*_VIEWS[phantom.view])])
    file.ViewCodeSequence[0].ViewModifierCodeSequence = DicomSequence([])
    file.DetectorType = "DIRECT"
    file.PixelIntensityRelationship = "LOG"
    file.ImagerPixelSpacing = [str(round(FIELD_MM / phantom.image.shape[0], 4))] * 2
    file.AcquisitionContextSequence = DicomSequence([])
    file.PositionerType = "NONE"


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def _set_pixels(file: Dataset, phantom: Phantom, rng: np.random.Generator) -> None:
    """Store the image in part of the 12-bit range and give the window that shows it in full (PS3.3 C.11.2.1.2.1)."""
    span = int(rng.integers(2600, 3600))
    low = int(rng.integers(0, _TOP - span + 1))
    stored = (low + np.rint(phantom.image * span)).astype("<u2")
    inverted = bool(rng.random() < _INVERTED_SHARE)
    if inverted:
        stored, low = _TOP - stored, _TOP - low - span
    file.SamplesPerPixel = 1
    file.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    file.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    file.PixelIntensityRelationshipSign = -1 if inverted else 1
    file.Rows, file.Columns = stored.shape
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, BITS, BITS - 1, 0
    file.RescaleIntercept, file.RescaleSlope, file.RescaleType = 0, 1, "US"
    # The linear function maps centre - 0.5 -+ (width - 1) / 2 to black and white.
    file.WindowCenter, file.WindowWidth = low + span / 2 + 0.5, span + 1
    file.PixelData = stored.tobytes()
    file["PixelData"].VR = "OW"
