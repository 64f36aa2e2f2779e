"""The files that are mutated: small ones made here, and the real x-rays where they are."""

from __future__ import annotations

import os
import zlib
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

REAL_DATA: Final = Path(os.environ.get("CXR_AUDIT_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
SECRET: Final = "FUZZ^SECRETNAME"
"""The patient of every DICOM file made here: no message may ever hold it."""

_SUFFIXES: Final = {
    "dicom": (".dcm",),
    "png": (".png",),
    "jpeg": (".jpg", ".jpeg", ".jfif"),
    "webp": (".webp",),
}
_SYNTAXES: Final = {
    "jpegls": uid.JPEGLSLossless,
    "j2k": uid.JPEG2000Lossless,
    "rle": uid.RLELossless,
}


@cache
def made(kind: str) -> dict[str, bytes]:
    """Files of one kind that are made here, by name: the same on every machine with the pinned libraries."""
    if kind == "dicom":
        return _dicoms()
    if kind in _TEXTS:
        return {name: text.encode() for name, text in _TEXTS[kind].items()}
    return _rasters(kind)


@cache
def real(kind: str) -> dict[str, Path]:
    """Real files of one kind, named ``real:<path below the data>``; empty where there are none."""
    suffixes = _SUFFIXES.get(kind, ())
    files = [path for path in sorted(REAL_DATA.rglob("*")) if path.suffix.casefold() in suffixes]
    return {f"real:{path.relative_to(REAL_DATA).as_posix()}": path for path in files}


def base(kind: str, name: str) -> bytes:
    """The bytes of the base called `name`."""
    return real(kind)[name].read_bytes() if name.startswith("real:") else made(kind)[name]


def picture(seed: int = 0, width: int = 40, height: int = 48) -> np.ndarray:
    """uint8 (height, width), different for another seed at coarse and fine scale."""
    rng = np.random.default_rng(seed)
    coarse = np.kron(rng.integers(40, 200, (8, 8)), np.ones((height // 8, width // 8)))
    return (coarse + rng.integers(0, 30, (height, width))).astype(np.uint8)


def _rasters(kind: str) -> dict[str, bytes]:
    grey = Image.fromarray(picture())
    colour = Image.merge("RGB", [grey, Image.fromarray(picture(1)), grey])
    deep = Image.fromarray(picture().astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    images = {
        "png": {
            "grey": (grey, {}),
            "deep": (deep, {}),
            "colour": (colour, {}),
            "alpha": (colour.convert("RGBA"), {}),
            "palette": (colour.quantize(16), {"transparency": 3}),
            "bilevel": (grey.convert("1"), {}),
        },
        "jpeg": {
            "grey": (grey, {}),
            "colour": (colour, {"exif": exif}),
            "progressive": (colour, {"progressive": True}),
            "cmyk": (colour.convert("CMYK"), {}),
        },
        "webp": {"lossy": (colour, {}), "lossless": (colour.convert("RGBA"), {"lossless": True})},
        "tiff": {
            "raw": (grey, {}),
            "deep": (deep, {}),
            "lzw": (colour, {"compression": "tiff_lzw"}),
            "deflate": (grey, {"compression": "tiff_adobe_deflate"}),
            "fax": (grey.convert("1"), {"compression": "group4"}),
            "jpeg": (colour, {"compression": "jpeg"}),
        },
        "gif": {"grey": (grey, {})},
        "bmp": {"grey": (grey, {}), "bilevel": (grey.convert("1"), {})},
    }
    return {name: _saved(image, kind, options) for name, (image, options) in images[kind].items()}


def _saved(image: Image.Image, kind: str, options: dict[str, object]) -> bytes:
    stream = BytesIO()
    image.save(stream, kind.upper(), **options)
    return stream.getvalue()


def _dicoms() -> dict[str, bytes]:
    deep = picture().astype(np.uint16) * 16
    found = {
        "explicit": _dataset(deep, 12, WindowCenter=2000, WindowWidth=3000, RescaleSlope=1, RescaleIntercept=0),
        "implicit": _dataset(deep, 12),
        "big-endian": _dataset(deep.byteswap(), 12),
        "deflated": _dataset(deep, 12),
        "signed": _dataset(deep.astype(np.int16), 12, PixelPaddingValue=640, PixelPaddingRangeLimit=700),
        "inverted": _dataset(picture(), 8, PhotometricInterpretation="MONOCHROME1"),
        "colour": _dataset(np.dstack([picture(seed) for seed in range(3)]), 8, PlanarConfiguration=0),
        "palette": _with_palette(_dataset(picture(), 8, PhotometricInterpretation="PALETTE COLOR")),
        "lut": _dataset(deep, 12, VOILUTSequence=Sequence([_table()]), ModalityLUTSequence=Sequence([_table()])),
    }
    syntaxes = {
        "implicit": uid.ImplicitVRLittleEndian,
        "big-endian": uid.ExplicitVRBigEndian,
        "deflated": uid.DeflatedExplicitVRLittleEndian,
    }
    for name, syntax in syntaxes.items():
        found[name].file_meta.TransferSyntaxUID = syntax
    for name, syntax in _SYNTAXES.items():
        found[name] = _dataset(deep, 12)
        found[name].compress(syntax, generate_instance_uid=False)
    found["jpeg"] = _dataset(picture(), 8)
    found["jpeg"].file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    found["jpeg"].PixelData = encapsulate([made("jpeg")["grey"]])
    found["jpeg"]["PixelData"].is_undefined_length = True
    return {name: _written(dataset) for name, dataset in found.items()}


def _dataset(pixels: np.ndarray, bits: int, **tags: object) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = uid.DigitalXRayImageStorageForPresentation, "2.25.1"
    dataset.Modality, dataset.PatientName, dataset.PatientID = "DX", SECRET, f"ID{SECRET}"
    dataset.PatientSex, dataset.PatientAge, dataset.ViewPosition, dataset.Manufacturer = "F", "047Y", "PA", "Acme"
    dataset.StudyInstanceUID = "2.25.2"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = pixels.dtype.itemsize * 8, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW" if pixels.dtype.itemsize == 2 else "OB"
    return dataset


def _table() -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 16])
    item.add_new("LUTData", "OW", (np.arange(4096, dtype="<u2") * 16).tobytes())
    item.ModalityLUTType = "US"
    return item


def _with_palette(dataset: Dataset) -> Dataset:
    for colour in ("Red", "Green", "Blue"):
        dataset.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [256, 0, 16])
        dataset.add_new(f"{colour}PaletteColorLookupTableData", "OW", (np.arange(256, dtype="<u2") * 257).tobytes())
    return dataset


def _written(dataset: Dataset) -> bytes:
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def deflate_bomb(megabytes: int) -> bytes:
    """A raw deflate stream of `megabytes` zero bytes, about a thousandth of that in size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = bytes(1 << 20)
    return b"".join([*(packer.compress(block) for _ in range(megabytes)), packer.flush()])


MANIFEST: Final = """\
name: fuzzed
title: A study for the fuzzer
description: |
  Several lines,
  # not a comment
licence: CC0-1.0
homepage: https://example.org/
classes: [normal, ill]
positive: ill
labels:
  map: {healthy: normal, "sick": ill}
  exclude: [unclear]
exclude_views: [L]
patient_namespaces: {table: shared}
sources:
  - name: table
    layout: table
    table: table.csv
    columns: {path: file, label: label, patient_id: patient, view: view, sex: sex, age: age, split: split}
    where: {use: ["yes"]}
  - name: folders
    layout: folders
    root: folders
    role: other_source
    class_folders: {normal: normal, ill: ill}
    file_pattern: "(?P<patient>p[0-9]+)_(?P<view>[A-Z]+)"
    ignore: ["*.txt"]
audit:
  ingest: {store_size: 64, min_side: 32}
"""
TABLE: Final = """\
file,label,patient,view,sex,age,split,use
images/0.png,healthy,p1,PA,F,31,train,yes
images/1.png,sick,p2,AP,M,60,train,yes
images/2.png,unclear,p3,PA,,,,yes
"images/3.png",ill,"p,4",LATERAL,F,044Y,test,yes
images/4.png,normal,p5,PA,M,70,,no
images/5.png,normal,p6,pa,M,,val,yes
images/5.png,normal,p6,pa,M,,val,yes
images/missing.png,ill,p7,,,,,yes
images/6.png,ill,p8,,,,test,yes
"""
COVIDX: Final = """\
1 0.png normal rsna
COVID 2 1.png COVID-19 sirm
3 2.png pneumonia
5 4.png normal rnsa

6 5.png COVID-19 cohen
"""
RECIPE: Final = """\
repairs:
  - name: none
  - name: fill
    actions: [{action: fill}]
  - name: crop
    actions: [{action: crop-to-lungs}]
"""
_TEXTS: Final = {
    "manifest": {"both": MANIFEST},
    "table": {"comma": TABLE, "tab": TABLE.replace(",", "\t")},
    "covidx": {"lines": COVIDX},
    "recipe": {"three": RECIPE},
}
