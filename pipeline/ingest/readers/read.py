"""Reading one file: sizes first, then the format by content, then its reader."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import ImageReadError, ProblemReason
from pipeline.ingest.readers import dicom, raster
from pipeline.ingest.readers.faults import decoder_faults
from pipeline.ingest.readers.image import ImageHeader, ReadImage
from pipeline.ingest.readers.limits import ReadLimits
from pipeline.ingest.readers.sniff import FileFormat, sniff


def read_image(path: Path, limits: ReadLimits, *, salt: str = "") -> ReadImage:
    """Decode the image at `path`.

    Args:
        path: the file; its name and extension mean nothing.
        limits: sizes beyond which it is refused unread.
        salt: mixed into the hashes that stand for patient and study ids.

    Raises:
        ImageReadError: it cannot be used; `reason` says why.
    """
    return read_bytes(load_bytes(path, limits), limits, salt=salt)


def load_bytes(path: Path, limits: ReadLimits) -> bytes:
    """The whole file, once its size is known to be allowed.

    Raises:
        ImageReadError: MISSING_FILE, EMPTY_FILE, TOO_LARGE, or UNREADABLE for a folder or a refused permission.
    """
    try:
        if not path.is_file():
            reason = ProblemReason.UNREADABLE if path.exists() else ProblemReason.MISSING_FILE
            raise ImageReadError(reason, "not a regular file" if path.exists() else "no such file below the data root")
        limits.check_file(path.stat().st_size)
        return path.read_bytes()
    except OSError as error:
        raise ImageReadError(ProblemReason.UNREADABLE, error.strerror or type(error).__name__) from error


def read_bytes(data: bytes, limits: ReadLimits, *, salt: str = "") -> ReadImage:
    """Decode the image that a file's bytes hold; arguments and errors as `read_image`."""
    file_format = sniff(data)
    with decoder_faults():
        if file_format == FileFormat.DICOM:
            return dicom.read(data, limits, salt)
        return raster.read(data, file_format, limits)


def read_header(data: bytes, limits: ReadLimits) -> ImageHeader:
    """What a file says of itself, nothing decoded. A file refused here is refused by `read_bytes` as well.

    Raises:
        ImageReadError: it cannot be used; `reason` says why.
    """
    file_format = sniff(data)
    with decoder_faults():
        if file_format == FileFormat.DICOM:
            return dicom.read_header(data, limits)
        return raster.read_header(data, file_format, limits)
