"""What a layout yields for each image it meets, before labels are mapped: a candidate or a problem."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.errors import InputError, ProblemReason
from pipeline.ingest.source_schema import Role
from pipeline.ingest.tables import what_is_in
from pipeline.types import Split


@dataclass(frozen=True, slots=True)
class Candidate:
    """One image as its source describes it. None is unknown.

    Attributes:
        path: relative to the data root, forward slashes.
        patient: the id within its source, not namespaced yet.
        view: as the source writes it.
        view_source: csv, dicom or filename.
        age: years.
        pinned: the split that the source asks for.
    """

    path: str
    source: str
    role: Role
    licence: str | None
    label_raw: str | None
    patient: str | None = None
    study: str | None = None
    view: str | None = None
    view_source: str | None = None
    sex: str | None = None
    age: float | None = None
    pinned: Split | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One image or table row that cannot be used, and why."""

    path: str
    reason: ProblemReason
    detail: str


def source_folder(data_root: Path, folder: str, source: str) -> Path:
    """The existing folder of a source below the data root.

    Raises:
        InputError: it is missing; says what is there instead.
    """
    place = data_root / folder
    if not place.is_dir():
        raise InputError(
            f"Source {source!r} should lie in {place}, which is no folder; {what_is_in(place.parent)}. "
            "Give another --data-root, get the data with `cxr-audit datasets fetch`, or correct 'root'."
        )
    return place


def files_below(folder: Path, *, recursive: bool = True) -> list[Path]:
    """All files below `folder`, in name order, but what git keeps in ``.git``.

    Links to folders are not followed: they may form a circle.
    """
    found = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(path for path in found if path.is_file() and ".git" not in path.relative_to(folder).parts)


def ignored_by(path: PurePosixPath, patterns: tuple[str, ...]) -> str | None:
    """The first of `patterns` that matches the name of `path` or of a folder it lies in."""
    return next((pattern for pattern in patterns for part in path.parts if PurePosixPath(part).match(pattern)), None)
