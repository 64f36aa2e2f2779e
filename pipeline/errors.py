"""Every error a user can meet, as one tree.

    CxrAuditError
    ├── InputError            something the user gave is wrong; nothing was changed
    │   ├── ManifestError     a manifest: file, line and key are named
    │   ├── ImageReadError    one image file: `reason` is one of `ProblemReason`
    │   └── ModelError        a checkpoint, bundle or classifier that cannot be what it claims
    ├── EmptyResultError      a stage was left with nothing to work on
    ├── IntegrityError        a file on disk is not what its hash says
    ├── FetchError            a source could not be downloaded: network, server or git
    └── StorageError          the workspace cannot be written: full, read-only, no permission

Messages say what was found, what is allowed and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path


class ProblemReason(StrEnum):
    """Why one row of a data set could not be used. The fixed list behind `problems.parquet`."""

    MISSING_FILE = "missing-file"
    EMPTY_FILE = "empty-file"
    TRUNCATED = "truncated"
    UNREADABLE = "unreadable"
    UNSUPPORTED_FORMAT = "unsupported-format"
    NO_DECODER = "no-decoder"
    NO_PIXELS = "no-pixels"
    NOT_A_RADIOGRAPH = "not-a-radiograph"
    MULTI_FRAME = "multi-frame"
    TOO_SMALL = "too-small"
    TOO_LARGE = "too-large"
    UNKNOWN_LABEL = "unknown-label"
    MISSING_LABEL = "missing-label"
    EXCLUDED_BY_MANIFEST = "excluded-by-manifest"
    CONFLICTING_LABEL = "conflicting-label"
    DUPLICATE = "duplicate"
    OUTSIDE_DATA_ROOT = "outside-data-root"


class CxrAuditError(Exception):
    """Base of every error raised on purpose by cxr-audit."""


class InputError(CxrAuditError):
    """Something the user gave is wrong; the message says what is allowed and what to do."""


class ManifestError(InputError):
    """A manifest cannot be read or contradicts itself; names file, line and key."""


class ImageReadError(InputError):
    """One image file cannot be used.

    Attributes:
        reason: why, from the fixed list that `problems.parquet` uses.
    """

    def __init__(self, reason: ProblemReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ModelError(InputError):
    """A checkpoint, bundle or classifier is not what it claims to be."""


class EmptyResultError(CxrAuditError):
    """A stage examined or kept nothing: an error, never a report."""


class IntegrityError(CxrAuditError):
    """A file on disk is not what was written there.

    Attributes:
        path: the file or folder, where one is to blame.
    """

    def __init__(self, message: str, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class FetchError(CxrAuditError):
    """A source could not be downloaded; what has arrived is kept and the next attempt resumes."""


class StorageError(CxrAuditError):
    """The workspace cannot be written: disk full, read-only or no permission."""


def did_you_mean(found: str, allowed: Iterable[str]) -> str:
    """Sentence that names the closest allowed word and then all of them.

    Args:
        found: what the user wrote.
        allowed: every accepted word.
    """
    choices = sorted(allowed)
    close = difflib.get_close_matches(found, choices, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Allowed: {', '.join(choices)}."
