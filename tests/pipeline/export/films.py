"""Radiographs with a known mark, as files of several kinds, and a data-set version made of them."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from pipeline.artifacts import write_json
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.export.images import ExportImage, PackedHoles
from pipeline.ingest import ReadLimits, image_id, letterbox, read_image

SIZE, HEIGHT, WIDTH = 64, 96, 128
MARK = (slice(8, 20), slice(90, 110))
"""Rows and columns of the mark, original pixels."""
BOX = {"x0": 90.0, "y0": 8.0, "x1": 110.0, "y1": 20.0}
LIMITS = ReadLimits(min_side=8)


def slope(top: int) -> np.ndarray:
    """A smooth picture (HEIGHT, WIDTH) from top / 4 to top / 2 with a mark of value `top`."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH] / np.array([HEIGHT, WIDTH]).reshape(2, 1, 1)
    picture = top * (0.25 + 0.1 * rows + 0.15 * columns)
    picture[MARK] = top
    return np.rint(picture)


def radiograph(stored: np.ndarray | None = None, bits: int = 12, **tags) -> Dataset:
    """A DX image for presentation that dciodvfy finds no fault with."""
    stored = slope((1 << bits) - 1).astype("<u2" if bits > 8 else "u1") if stored is None else stored
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = uid.DigitalXRayImageStorageForPresentation
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = uid.generate_uid(entropy_srcs=["image"])
    made.StudyInstanceUID, made.SeriesInstanceUID = (uid.generate_uid(entropy_srcs=[name]) for name in ("st", "se"))
    made.PatientName, made.PatientID, made.PatientBirthDate, made.PatientSex = "Doe^Jane", "12345", "", "F"
    made.StudyDate = made.SeriesDate = made.AcquisitionDate = made.ContentDate = "20200102"
    made.StudyTime = made.SeriesTime = made.AcquisitionTime = made.ContentTime = "101500"
    made.AccessionNumber = made.ReferringPhysicianName = ""
    made.StudyID, made.SeriesNumber, made.InstanceNumber = "1", 1, 1
    made.Modality, made.PresentationIntentType, made.Manufacturer = "DX", "FOR PRESENTATION", "phantom"
    made.ImageType = ["ORIGINAL", "PRIMARY", ""]
    made.BodyPartExamined, made.ViewPosition, made.PatientOrientation = "CHEST", "PA", ["L", "F"]
    made.ImageLaterality, made.PositionerType, made.DetectorType = "U", "NONE", "DIRECT"
    made.AnatomicRegionSequence = Sequence([_code("43799004", "Thorax")])
    made.ViewCodeSequence = Sequence([_code("272481005", "postero-anterior")])
    made.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([])
    made.AcquisitionContextSequence = Sequence([])
    made.PixelIntensityRelationship, made.PixelIntensityRelationshipSign = "LOG", 1
    made.ImagerPixelSpacing, made.PresentationLUTShape = [1, 1], "IDENTITY"
    made.RescaleIntercept, made.RescaleSlope, made.RescaleType = 0, 1, "US"
    made.LossyImageCompression, made.BurnedInAnnotation = "00", "YES"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = stored.shape[:2]
    made.BitsAllocated, made.BitsStored, made.HighBit = stored.dtype.itemsize * 8, bits, bits - 1
    made.PixelRepresentation = int(stored.dtype.kind == "i")
    made.WindowCenter, made.WindowWidth = (1 << bits) // 3, (1 << bits) // 4
    made.PixelData = stored.tobytes()
    made["PixelData"].VR = "OW"
    for name, value in tags.items():
        setattr(made, name, value)
    return made


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def to_bytes(made: Dataset) -> bytes:
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def an_image(path: str = "a.dcm", data: bytes = b"", *, holes: bool = True, **facts) -> ExportImage:
    """One image of the study, its mark to be filled by Telea."""
    where = np.zeros((SIZE * HEIGHT // WIDTH, SIZE), dtype=np.uint8)
    where[4:10, 45:55] = 1
    digest = hashlib.sha256(data).hexdigest()
    known = {"fills": ("telea",), "removed": (("side", 1),) if holes else (), **facts}
    return ExportImage("id", path, digest, WIDTH, HEIGHT, "a.png", PackedHoles.of(where) if holes else None, **known)


def make_version(target: Path, data_root: Path) -> DatasetVersion:
    rows, stored = [], []
    for number, path in enumerate(sorted(p for p in data_root.rglob("*") if p.is_file())):
        image = read_image(path, LIMITS)
        square, transform = letterbox(image.pixels, SIZE)
        stored.append((square.astype(np.uint32) * (257 if square.dtype == np.uint8 else 1)).astype(np.uint16))
        rows.append(
            {
                **dict.fromkeys(IMAGE_COLUMNS),
                "image_id": image_id(image.pixels),
                "path": path.relative_to(data_root).as_posix(),
                "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "label": ["rest", "covid"][number % 2],
                "split": ["train", "test"][number // 2 % 2],
                "source": path.parent.name,
                "patient_id": f"study:{number}",
                "width": image.pixels.shape[1],
                "height": image.pixels.shape[0],
                "bits": image.bits,
                "file_format": image.file_format,
                "scale": transform.scale,
                "pad_x": transform.pad_x,
                "pad_y": transform.pad_y,
            }
        )
    meta = DatasetMeta("study", target.name, "A study", ("rest", "covid"), "covid", SIZE, "uint16")
    table = pd.DataFrame(rows)
    with write_version(target, SIZE, "uint16") as writer:
        writer.write_shard(0, table, np.stack(stored))
        writer.finish(meta, table, 1)
        write_json(writer.folder / "lineage.json", {"seed": 0})
    return DatasetVersion(target)
