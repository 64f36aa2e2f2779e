"""Layouts `folders` and `table`: from what lies on disk to candidates and problems."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import pandas as pd

from pipeline.errors import InputError, ProblemReason, did_you_mean
from pipeline.ingest import vocabulary
from pipeline.ingest.candidates import Candidate, Problem, files_below, ignored_by, source_folder
from pipeline.ingest.covidx import read_covidx
from pipeline.ingest.source_schema import FolderSource, TableSource
from pipeline.ingest.tables import read_table, require_columns, what_is_in
from pipeline.types import SPLITS, Split


def read_folders(source: FolderSource, data_root: Path) -> Iterator[Candidate | Problem]:
    """Every file in the class folders of `source`.

    Raises:
        InputError: the source's folder or a class folder is missing.
    """
    root = source_folder(data_root, source.folder, source.name)
    for folder, label in _class_folders(source, root).items():
        for file in files_below(root / folder, recursive=source.recursive):
            path = file.relative_to(data_root).as_posix()
            pattern = ignored_by(PurePosixPath(file.relative_to(root / folder)), source.ignore)
            if pattern is not None:
                yield Problem(path, ProblemReason.EXCLUDED_BY_MANIFEST, f"the name matches ignore: {pattern!r}")
            else:
                yield _from_file(source, path, label)


def _class_folders(source: FolderSource, root: Path) -> dict[str, str]:
    if not source.class_folders:
        names = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        if not names:
            raise InputError(f"Source {source.name!r}: {what_is_in(root)}, but a folder for each class was expected.")
        return {name: name for name in names}
    missing = [folder for folder in source.class_folders if not (root / folder).is_dir()]
    if missing:
        raise InputError(
            f"Source {source.name!r}: no folder {', '.join(map(repr, missing))} in {root}; {what_is_in(root)}. "
            "Correct 'class_folders' or get the data again."
        )
    return dict(source.class_folders)


def _from_file(source: FolderSource, path: str, label: str) -> Candidate:
    match = re.search(source.file_pattern, PurePosixPath(path).name) if source.file_pattern else None
    groups = match.groupdict() if match else {}
    return Candidate(
        path=path,
        source=source.name,
        role=source.role,
        licence=source.licence,
        label_raw=label,
        patient=groups.get("patient"),
        study=groups.get("study"),
        view=groups.get("view"),
        view_source="filename",
    )


def read_rows_of_table(source: TableSource, data_root: Path) -> Iterator[Candidate | Problem]:
    """Every row of the table of `source`.

    Raises:
        InputError: the folder, the table or a column is missing; a split or a role names something unknown.
    """
    root = source_folder(data_root, source.folder, source.name)
    table_path = root / source.table
    table, unread = _read_table(source, table_path)
    yield from unread
    columns = {field: column for field, column in source.columns.model_dump().items() if column is not None}
    require_columns(table, table_path, [*columns.values(), *source.where])
    _check_roles(source, table, table_path)
    chosen = pd.DataFrame({field: table[column] for field, column in columns.items()})
    excluded_by = _excluded_by(source, table)
    for number, cells, excluded in zip(table.index, chosen.to_dict("records"), excluded_by, strict=True):
        row = {str(field): str(text) for field, text in cells.items()}
        yield _from_row(source, data_root, row, f"row {number} of {table_path.name}", excluded)


def _read_table(source: TableSource, path: Path) -> tuple[pd.DataFrame, list[Problem]]:
    """The rows, indexed by where they stand in the file, and the lines that cannot be read."""
    if source.format == "delimited":
        table = read_table(path, separator=source.separator, encoding=source.encoding)
        return table.set_axis(range(2, len(table) + 2)), []  # row 1 is the header
    found = read_covidx(path)
    place = PurePosixPath(source.folder, source.table).as_posix()
    unread = [
        Problem(place, ProblemReason(reason), f"row {line} of {path.name}: {detail}")
        for line, reason, detail in found.problems.itertuples(name=None)
    ]
    return found.rows, unread


def _check_roles(source: TableSource, table: pd.DataFrame, table_path: Path) -> None:
    if source.columns.source is None:
        return
    found = set(table[source.columns.source])
    for name in source.roles:
        if name not in found:
            raise InputError(f"{table_path}: no row of source {name!r}, named in 'roles'. {did_you_mean(name, found)}")


def _excluded_by(source: TableSource, table: pd.DataFrame) -> list[str | None]:
    """For each row, which `where` condition it fails."""
    reasons: list[str | None] = [None] * len(table)
    for column, wanted in source.where.items():
        for position, text in enumerate(table[column]):
            if text not in wanted:
                reasons[position] = f"{column} is {text!r}, the manifest wants {', '.join(wanted)}"
    return reasons


def _from_row(
    source: TableSource, data_root: Path, row: dict[str, str], place: str, excluded: str | None
) -> Candidate | Problem:
    if not row["path"]:
        table = PurePosixPath(source.folder, source.table).as_posix()
        return Problem(table, ProblemReason.MISSING_FILE, f"{place} names no file")
    path = PurePosixPath(source.folder, source.path_prefix or ".", row["path"])
    problem = partial(Problem, path.as_posix())
    if PurePosixPath(row["path"]).is_absolute() or ".." in path.parts:
        return problem(ProblemReason.OUTSIDE_DATA_ROOT, f"{place} points outside the data root")
    if excluded is not None:
        return problem(ProblemReason.EXCLUDED_BY_MANIFEST, excluded)
    file = _existing(data_root, path, source.extensions)
    if file is None:
        return problem(ProblemReason.MISSING_FILE, f"{place} names a file that is not there")
    return _candidate(source, file, row, place)


def _existing(data_root: Path, path: PurePosixPath, extensions: tuple[str, ...]) -> str | None:
    spellings = (f"{path}{extension}" for extension in ("", *extensions))
    return next((file for file in spellings if _is_file(data_root / file)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise


def _candidate(source: TableSource, file: str, row: dict[str, str], place: str) -> Candidate:
    name = row.get("source") or source.name
    return Candidate(
        path=file,
        source=name,
        role=source.roles.get(name, source.role),
        licence=vocabulary.known(row.get("licence")) or source.licence,
        label_raw=row["label"] or None,
        patient=vocabulary.known(row.get("patient_id")),
        study=vocabulary.known(row.get("study_id")),
        view=vocabulary.known(row.get("view")),
        view_source="csv",
        sex=vocabulary.sex(row.get("sex")),
        age=vocabulary.age(row.get("age")),
        pinned=_pinned(row.get("split", ""), place),
    )


def _pinned(text: str, place: str) -> Split | None:
    if vocabulary.known(text) is None:
        return None
    split = vocabulary.split(text)
    if split is None:
        raise InputError(f"{place}: split {text!r} is unknown. {did_you_mean(text, SPLITS)} Blank lets us choose.")
    return split
