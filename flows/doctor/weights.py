"""Are the weights that come with the packages there, and whole?"""

from __future__ import annotations

import importlib.metadata
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from typing import Final

from flows.doctor.check import Check, Place, checked
from pipeline.artifacts import sha256_file

SHIPPED: Final = {
    "models/lungs/weights.pt": "bcd1f6fb452e4a38",
    "models/inpainters/weights.pt": "290399ce0e4697a4",
}
"""File of this distribution -> sha256, first 16 digits."""
_OCR = "rapidocr-onnxruntime"


def checks(_: Place) -> Iterator[Check]:
    """The networks of cxr-audit, and the text detector and reader of RapidOCR."""
    for name, wanted in SHIPPED.items():
        package, file = name.rsplit("/", 1)
        weights = files(package.replace("/", ".")) / file
        found = sha256(weights.read_bytes()).hexdigest()[:16] if weights.is_file() else "missing"
        fix = "install cxr-audit again: the file is not the one that was released"
        yield checked("weights", name, found == wanted, f"sha256 {found}…", fix)
    yield _ocr()


def _ocr() -> Check:
    """The models against the hashes that their wheel lists."""
    fix = f"pip install --force-reinstall {_OCR}, in the version of constraints.txt"
    try:
        listed = [each for each in importlib.metadata.files(_OCR) or [] if each.suffix == ".onnx"]
    except importlib.metadata.PackageNotFoundError:
        return checked("weights", "OCR", False, f"{_OCR} is not installed", fix)
    wrong = [each.name for each in listed if each.hash is None or _hash(each) != each.hash.value]
    found = f"{', '.join(wrong)} missing or damaged" if wrong else f"{len(listed)} models, hashes as in their wheel"
    return checked("weights", "OCR", bool(listed) and not wrong, found if listed else "no models", fix)


def _hash(listed: importlib.metadata.PackagePath) -> str | None:
    """As wheels list it: urlsafe base64 without padding."""
    path = listed.locate()
    if not path.exists():  # type: ignore[attr-defined]
        return None
    digest = bytes.fromhex(sha256_file(path))  # type: ignore[arg-type]
    return urlsafe_b64encode(digest).decode().rstrip("=")
