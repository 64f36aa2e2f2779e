"""Layout `dicom`: a folder of DICOM files, of which only a few header fields are read and never the name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pydicom
from pydicom.errors import InvalidDicomError

from pipeline.errors import ImageReadError, InputError, ProblemReason
from pipeline.ingest import vocabulary
from pipeline.ingest.candidates import Candidate, Problem, files_below, ignored_by, source_folder
from pipeline.ingest.readers import ReadLimits, load_bytes
from pipeline.ingest.readers.dicom import read_facts, text_of
from pipeline.ingest.readers.faults import decoder_faults
from pipeline.ingest.source_schema import DicomSource, LabelTable
from pipeline.ingest.tables import read_table, require_columns

_TAGS = ["SOPInstanceUID", "StudyInstanceUID", "PatientID", "PatientSex", "PatientAge", "ViewPosition"]
_LIMITS = ReadLimits()


def read_dicom_folder(source: DicomSource, data_root: Path) -> Iterator[Candidate | Problem]:
    """Every file below the folder of `source`, then every row of the label table that no file used.

    Raises:
        InputError: the folder, the label table or one of its columns is missing, or it contradicts itself.
    """
    root = source_folder(data_root, source.folder, source.name)
    labels = _Labels.read(source.label_table, root) if source.label_table else None
    for file in files_below(root):
        if source.label_table is None or file != root / source.label_table.table:
            yield _from_file(source, data_root, root, file, labels)
    if labels is not None:
        table = labels.path.relative_to(data_root).as_posix()
        for number in labels.unused():
            yield Problem(table, ProblemReason.MISSING_FILE, f"row {number} of the label table fits no file")


@dataclass
class _Labels:
    """The label table: key -> label, and which rows were used. Keys may be patient ids and are never shown."""

    path: Path
    key: str
    label_of: dict[str, str]
    row_of: dict[str, int]
    used: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, spec: LabelTable, root: Path) -> _Labels:
        path = root / spec.table
        table = read_table(path, separator=spec.separator, encoding=spec.encoding)
        require_columns(table, path, [spec.key_column, spec.label_column])
        labels = cls(path, spec.key, {}, {})
        for number, (key, label) in enumerate(zip(table[spec.key_column], table[spec.label_column], strict=True), 2):
            first = labels.row_of.setdefault(key, number)
            if labels.label_of.setdefault(key, label) != label:
                raise InputError(f"{path}: rows {first} and {number} give the same {spec.key} two labels; keep one.")
        return labels

    def label(self, file: Path, header: pydicom.Dataset) -> str | None:
        keys = [file.name, file.stem] if self.key == "file_name" else [text_of(header, self.key) or ""]
        key = next((key for key in keys if key in self.label_of), None)
        if key is None:
            return None
        self.used.add(key)
        return self.label_of[key] or None

    def unused(self) -> list[int]:
        return [number for key, number in self.row_of.items() if key not in self.used]


def _from_file(
    source: DicomSource, data_root: Path, root: Path, file: Path, labels: _Labels | None
) -> Candidate | Problem:
    path = file.relative_to(data_root).as_posix()
    below = PurePosixPath(file.relative_to(root))
    pattern = ignored_by(below, source.ignore)
    if pattern is not None:
        return Problem(path, ProblemReason.EXCLUDED_BY_MANIFEST, f"the name matches ignore: {pattern!r}")
    try:
        header = _header(file)
    except ImageReadError as error:
        return Problem(path, error.reason, str(error))
    folder = below.parts[0] if len(below.parts) > 1 else None
    return Candidate(
        path=path,
        source=source.name,
        role=source.role,
        licence=source.licence,
        label_raw=labels.label(file, header) if labels else folder,
        patient=_identity(source, text_of(header, "PatientID")),
        study=_identity(source, text_of(header, "StudyInstanceUID")),
        view=text_of(header, "ViewPosition"),
        view_source="dicom",
        sex=vocabulary.sex(text_of(header, "PatientSex")),
        age=vocabulary.age(text_of(header, "PatientAge")),
    )


def _header(file: Path) -> pydicom.Dataset:
    data = load_bytes(file, _LIMITS)
    try:
        with decoder_faults():
            return read_facts(data, _TAGS, _LIMITS)
    except ImageReadError as error:
        if isinstance(error.__cause__, InvalidDicomError):
            message = "not a DICOM file (no DICM mark at byte 128); move it away or list it under ignore"
            raise ImageReadError(ProblemReason.UNSUPPORTED_FORMAT, message) from error
        raise


def _identity(source: DicomSource, identity: str | None) -> str | None:
    """A patient or study id that may be stored: a salted hash, or as it is where it is a pseudonym already."""
    if identity is None or source.patient_ids == "pseudonyms":
        return identity
    return hashlib.sha256(f"{source.patient_salt}{identity}".encode()).hexdigest()[:16]
