"""Which format a file is, from its first bytes."""

from __future__ import annotations

from enum import StrEnum

from pipeline.errors import ImageReadError, ProblemReason


class FileFormat(StrEnum):
    """Formats that can be read; values are Pillow's names for the rasters."""

    DICOM = "DICOM"
    PNG = "PNG"
    JPEG = "JPEG"
    WEBP = "WEBP"
    TIFF = "TIFF"
    GIF = "GIF"
    BMP = "BMP"


_MAGIC: tuple[tuple[bytes, FileFormat], ...] = (
    (b"\x89PNG\r\n\x1a\n", FileFormat.PNG),
    (b"\xff\xd8\xff", FileFormat.JPEG),
    (b"II*\0", FileFormat.TIFF),
    (b"MM\0*", FileFormat.TIFF),
    (b"GIF8", FileFormat.GIF),
    (b"BM", FileFormat.BMP),
)
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")
"""How a DICOM data set begins when its preamble was lost: file meta or identification group, either byte order."""


def sniff(data: bytes) -> FileFormat:
    """The format of a file that begins with `data`.

    Raises:
        ImageReadError: UNSUPPORTED_FORMAT; what the file seems to be is named where that is known.
    """
    # A DICOM preamble may hold a TIFF header, so DICOM's own mark is looked for first.
    if data[128:132] == b"DICM":
        return FileFormat.DICOM
    for magic, file_format in _MAGIC:
        if data.startswith(magic):
            return file_format
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return FileFormat.WEBP
    if data[:2] in _FIRST_GROUPS and len(data) > 8:
        return FileFormat.DICOM
    allowed = ", ".join(FileFormat)
    raise ImageReadError(ProblemReason.UNSUPPORTED_FORMAT, f"{_guess(data)}; can be read: {allowed}")


def _guess(data: bytes) -> str:
    if data.lstrip()[:1] == b"<":
        return "HTML or XML text, perhaps a saved error page"
    if data.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer; run `git lfs pull`"
    if data.startswith(b"%PDF"):
        return "a PDF"
    if data.startswith((b"\x1f\x8b", b"PK")):
        return "a compressed archive; unpack it"
    return f"first bytes {data[:8].hex(' ')} are no known image format"
