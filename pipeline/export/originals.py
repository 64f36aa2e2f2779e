"""The files that a data set was made from, read again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.errors import ImageReadError, IntegrityError
from pipeline.ingest import ReadLimits
from pipeline.ingest.readers import load_bytes

LIMITS = ReadLimits(min_side=1, max_pixels=1 << 40, max_file_bytes=1 << 40)
"""No refusal by size: the file was accepted when it was ingested, and its hash says it is the same."""


def original_bytes(data_root: Path, path: str, file_sha256: str) -> bytes:
    """The file at `path` below `data_root`.

    Raises:
        IntegrityError: it is gone or is not the file that was ingested.
    """
    try:
        data = load_bytes(data_root / path, LIMITS)
    except ImageReadError as error:
        raise IntegrityError(f"{path}: {error}") from error
    if hashlib.sha256(data).hexdigest() != file_sha256:
        raise IntegrityError(f"{path}: the file changed since it was ingested")
    return data
