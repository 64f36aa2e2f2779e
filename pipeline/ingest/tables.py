"""Reading the tables that come with data sets: every cell as text, whatever encoding it was saved in."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pipeline.errors import InputError, did_you_mean

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_table(path: Path, *, separator: str | None = None, encoding: str | None = None) -> pd.DataFrame:
    """The table at `path`, all cells as stripped text; an empty cell is ``""``.

    Args:
        path: CSV, TSV (by suffix ``.tsv`` or ``.tab``) or Parquet.
        separator: of a text table, where the suffix does not say it.
        encoding: tried when the bytes are not UTF-8, before cp1252.

    Raises:
        InputError: it is missing, not a table, has no rows or no encoding fits.
    """
    if not path.is_file():
        raise InputError(f"The table {path} is missing; {what_is_in(path.parent)}. Correct 'table' or the data root.")
    try:
        table = _read_parquet(path) if path.suffix.casefold() == ".parquet" else _read_text(path, separator, encoding)
    except (ValueError, OSError, csv.Error) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise InputError(f"{path} cannot be read as a table: {error}. Check 'separator' and the file.") from error
    if table.empty:
        raise InputError(f"{path} has no rows below its header. Correct 'table' or get the data again.")
    return pd.DataFrame({name: cells.str.strip() for name, cells in table.items()})


def read_lines(path: Path, encoding: str | None = None) -> list[str]:
    """The lines of a text file, whatever encoding it was saved in.

    Raises:
        InputError: it is missing, or no encoding fits.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing; {what_is_in(path.parent)}. Correct the path or the data root.")
    return _decode(path, encoding).splitlines()


def require_columns(table: pd.DataFrame, path: Path, wanted: Iterable[str]) -> None:
    """Check that the table read from `path` has all columns `wanted`.

    Raises:
        InputError: names each missing column, the closest one there is, and all there are.
    """
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        hints = " ".join(f"No column {name!r}. {did_you_mean(name, table.columns)}" for name in missing)
        raise InputError(f"{path}: {hints} Correct the column names in the manifest, or its 'separator'.")


def what_is_in(folder: Path, at_most: int = 8) -> str:
    """A phrase that lists the first names in `folder`, or says that there is no such folder."""
    if not folder.is_dir():
        return f"there is no folder {folder}"
    names = sorted(entry.name for entry in folder.iterdir())
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return f"{folder} has {', '.join(names[:at_most]) or 'nothing'}{more}"


def _read_parquet(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path, engine="pyarrow").astype("string").fillna("")


def _read_text(path: Path, separator: str | None, encoding: str | None) -> pd.DataFrame:
    """By `csv` and not pandas, which drops or shifts the cells of a row that is longer than the header."""
    tab = path.suffix.casefold() in (".tsv", ".tab")
    reader = csv.reader(io.StringIO(_decode(path, encoding), newline=""), delimiter=separator or ("\t" if tab else ","))
    header = [name.strip() for name in next(reader, [])]
    if len(set(header)) < len(header):
        raise ValueError(f"two columns have the same name; the header is {', '.join(header)}")
    rows = []
    for cells in filter(None, reader):  # a blank line is no row
        if len(cells) != len(header):
            raise ValueError(f"line {reader.line_num} has {len(cells)} cells, the header has {len(header)}")
        rows.append(cells)
    return pd.DataFrame(rows, columns=header, dtype="string")


def _decode(path: Path, encoding: str | None) -> str:
    raw = path.read_bytes()
    marked = raw.startswith(_UTF16_MARKS)
    tried = ["utf-16"] if marked else ["utf-8-sig", *([encoding] if encoding else []), "cp1252"]
    for candidate in tried:
        try:
            return raw.decode(candidate)
        except UnicodeError:
            continue
    raise InputError(f"{path} is in none of the encodings {', '.join(tried)}. Name the right one as 'encoding'.")
