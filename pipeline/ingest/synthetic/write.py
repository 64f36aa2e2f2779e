"""Write phantoms as files a reader meets in real life: DICOM as a digital x-ray unit stores it, or PNG."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from pipeline.artifacts import atomic_folder, write_json, write_text
from pipeline.ingest.synthetic.phantom import Phantom, PhantomSpec, Source, render
from pipeline.progress import Progress, silent

BITS = 12
_MONOCHROME1 = 5
"""Every fifth DICOM file stores inverted values, as many units do."""
_TASK = 8
"""Images one worker makes at a time."""

Made = tuple[dict[str, Any], list[dict[str, Any]]]
"""Row of phantoms.csv, rows of marks.csv."""


def generate(spec: PhantomSpec, folder: Path, *, workers: int = 1, progress: Progress = silent) -> Path:
    """Write the phantoms of `spec` into `folder`; what is there already is left as it is.

    <folder>/phantom-a/*.dcm  phantom-b/*.dcm    the images
             phantoms.csv     path, label, source, patient_id, view, sex, age, split
             marks.csv        path, x0, y0, x1, y1, kind, text: true boxes in image pixels, x1 and y1 exclusive
             phantoms.json    the specification

    Same specification, same bytes, with any number of workers.

    Raises:
        StorageError: the disk is full or not ours to write.
    """
    if folder.exists():
        return folder
    with atomic_folder(folder) as working:
        jobs = list(_jobs(spec, working))
        made: list[Made] = []
        for batch in _run(jobs, workers):
            made += batch
            progress("generate phantoms", len(made), spec.images + spec.other_source_images)
        _write_table(working / "phantoms.csv", [row for row, _ in made])
        _write_table(working / "marks.csv", [mark for _, marks in made for mark in marks])
        write_json(working / "phantoms.json", asdict(spec))
    return folder


Job = tuple[PhantomSpec, Source, range, Path]


def _jobs(spec: PhantomSpec, folder: Path) -> Iterator[Job]:
    counts: dict[Source, int] = {"phantom-a": spec.images, "phantom-b": spec.other_source_images}
    for source, count in counts.items():
        (folder / source).mkdir()
        for start in range(0, count, _TASK):
            yield spec, source, range(start, min(start + _TASK, count)), folder


def _run(jobs: list[Job], workers: int) -> Iterator[list[Made]]:
    if workers == 1:
        yield from map(_make, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_make, jobs)


def _make(job: Job) -> list[Made]:
    spec, source, indices, folder = job
    return [_write_one(spec, source, index, folder) for index in indices]


def _write_one(spec: PhantomSpec, source: Source, index: int, folder: Path) -> Made:
    phantom = render(spec, index, source)
    suffix = "dcm" if spec.format == "dicom" else "png"
    path = f"{source}/{index:06d}.{suffix}"
    if spec.format == "dicom":
        _dicom(phantom, spec, source, index).save_as(folder / path, enforce_file_format=True)
    else:
        Image.fromarray(np.rint(phantom.image * 255).astype(np.uint8)).save(folder / path)
    row = {
        "path": path,
        "label": phantom.label,
        "source": source,
        "patient_id": phantom.patient,
        "view": phantom.view,
        "sex": phantom.sex,
        "age": phantom.age,
        "split": "other_source" if source == "phantom-b" else "",
    }
    corners = ("x0", "y0", "x1", "y1")
    marks = [
        {"path": path, **dict(zip(corners, mark.box.as_tuple(), strict=True)), "kind": mark.kind, "text": mark.text}
        for mark in phantom.marks
    ]
    return row, marks


def _write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    write_text(path, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))


def _uid(*parts: object) -> UID:
    """A UID under the UUID-derived root 2.25 (DICOM PS3.5 B.2), fixed by `parts`."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def _dicom(phantom: Phantom, spec: PhantomSpec, source: Source, index: int) -> FileDataset:
    """A DX image (PS3.3 A.26), 12 bits in 16, window over the full range; every value is visibly made up."""
    identity = (spec, source, index)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = _uid(*identity)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _uid("cxr-audit")
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    _describe_patient(file, phantom)
    _describe_study(file, phantom, identity, index)
    _describe_view(file, phantom)
    _set_pixels(file, phantom, inverted=index % _MONOCHROME1 == 0)
    return file


def _describe_patient(file: Dataset, phantom: Phantom) -> None:
    file.PatientName = f"PHANTOM^{phantom.patient.upper()}"
    file.PatientID = phantom.patient
    file.PatientBirthDate = ""
    file.PatientSex = phantom.sex
    file.PatientAge = f"{phantom.age:03d}Y"


def _describe_study(file: Dataset, phantom: Phantom, identity: tuple[object, ...], index: int) -> None:
    file.SOPClassUID = DigitalXRayImageStorageForPresentation
    file.SOPInstanceUID = _uid(*identity)
    file.StudyInstanceUID = _uid("study", *identity)
    file.SeriesInstanceUID = _uid("series", *identity)
    file.StudyDate = file.SeriesDate = file.AcquisitionDate = file.ContentDate = "20200101"
    file.StudyTime = file.SeriesTime = file.AcquisitionTime = file.ContentTime = "120000"
    file.AccessionNumber = file.ReferringPhysicianName = file.StudyID = ""
    file.Modality = "DX"
    file.PresentationIntentType = "FOR PRESENTATION"
    file.Manufacturer = "cxr-audit phantom"
    file.SeriesNumber, file.InstanceNumber = 1, index + 1
    file.BurnedInAnnotation = "NO"  # marks are printed, but none identifies a person
    file.LossyImageCompression = "00"


def _describe_view(file: Dataset, phantom: Phantom) -> None:
    file.BodyPartExamined = "CHEST"
    file.ViewPosition = phantom.view
    file.PatientOrientation = ["L", "F"]
    file.ImageLaterality = "U"
    file.ImageType = ["DERIVED", "PRIMARY"]
    file.DerivationDescription = "generated phantom"
    file.AnatomicRegionSequence = DicomSequence([_code("43799004", "Thorax")])
    views = {"PA": ("272481005", "postero-anterior"), "AP": ("399348003", "antero-posterior")}
    file.ViewCodeSequence = DicomSequence([_code(*views[phantom.view])])
    file.ViewCodeSequence[0].ViewModifierCodeSequence = DicomSequence([])
    file.DetectorType = "DIRECT"
    file.PixelIntensityRelationship = "LOG"
    file.ImagerPixelSpacing = [str(round(400 / phantom.image.shape[0], 4))] * 2
    file.AcquisitionContextSequence = DicomSequence([])
    file.PositionerType = "NONE"


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def _set_pixels(file: Dataset, phantom: Phantom, *, inverted: bool) -> None:
    top = 2**BITS - 1
    stored = np.rint(phantom.image * top).astype(np.uint16)
    file.SamplesPerPixel = 1
    file.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    file.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    file.PixelIntensityRelationshipSign = -1 if inverted else 1
    file.Rows, file.Columns = stored.shape
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, BITS, BITS - 1, 0
    file.RescaleIntercept, file.RescaleSlope, file.RescaleType = 0, 1, "US"
    file.WindowCenter, file.WindowWidth = 2 ** (BITS - 1), 2**BITS
    file.PixelData = (top - stored if inverted else stored).tobytes()
    file["PixelData"].VR = "OW"
