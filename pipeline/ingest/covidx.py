"""The label files of COVIDx, versions 1 to 9: lines of text without quotes, whose cells may hold blanks.

A line reads ``patient file label [source]``. Versions 1 and 2 have no source, and later ones leave it out in places;
ids of the SIRM collection hold a blank (``COVID 1``). So a line is read from its right end, by the few words that a
label can be; counting cells from the left misreads thousands of lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from pipeline.errors import InputError, ProblemReason
from pipeline.ingest import vocabulary
from pipeline.ingest.tables import read_lines
from pipeline.types import Split

LABELS: Final = ("normal", "pneumonia", "COVID-19", "positive", "negative", "level1", "level2")
"""Versions 1 to 5 and the A sets: the first three; version 6 and the B sets: positive, negative; Sev: the levels."""
SOURCE_SPELLINGS: Final = {"rnsa": "rsna"}
"""Version 9 misspells one source in 199 lines; read as two sources, it would look like one more place of origin."""
COLUMNS: Final = ("patient_id", "path", "label", "source", "split")

_BY_SPELLING: Final = {label.casefold(): label for label in LABELS}
_FILE: Final = re.compile(r"\.[A-Za-z0-9]{2,5}$")


@dataclass(frozen=True)
class CovidxTable:
    """What a label file holds; `rows` and `problems` together are all its lines but the blank ones.

    Attributes:
        rows: columns of `COLUMNS`, all text, "" where a line does not say; the index is the number of the line,
            counted from 1. Repeated lines are kept. `split` is the one that the file's name says.
        problems: `reason` (a `ProblemReason` value) and `detail`, indexed alike. The detail names no patient.
        respelled: source as written -> how many lines of it were read as another spelling.
    """

    rows: pd.DataFrame
    problems: pd.DataFrame
    respelled: dict[str, int]


def is_covidx(path: Path) -> bool:
    """Whether the name is that of such a file (``train_COVIDx9A.txt``)."""
    return path.suffix.casefold() == ".txt" and "covidx" in path.stem.casefold()


def read_covidx(path: Path) -> CovidxTable:
    """Read a label file.

    Raises:
        InputError: it is missing, in no known encoding, or no line of it can be read.
    """
    split = split_of(path) or ""
    numbered = [(number, line.split()) for number, line in enumerate(read_lines(path), start=1) if line.strip()]
    read = [(number, _read_line(cells)) for number, cells in numbered]
    rows = {number: [*found, split] for number, found in read if isinstance(found, list)}
    problems = {number: [str(found.reason), found.detail] for number, found in read if isinstance(found, _Unread)}
    if not rows:
        first = next(iter(problems.values()), ["", "it is empty"])[1]
        raise InputError(
            f"{path} has no line such as 'patient file.png {LABELS[2]} source': {first}. Is it a COVIDx label file?"
        )
    table = _table(rows, COLUMNS)
    table["source"], respelled = _respell(table["source"])
    return CovidxTable(table, _table(problems, ("reason", "detail")), respelled)


def split_of(path: Path) -> Split | None:
    """The split that a file's name says: a word of it such as train, val or test."""
    words = re.split(r"[^A-Za-z]+", path.stem)
    return next((split for split in map(vocabulary.split, words) if split is not None), None)


@dataclass(frozen=True)
class _Unread:
    reason: ProblemReason
    detail: str


def _read_line(cells: list[str]) -> list[str] | _Unread:
    """Patient, file, label and source of a line."""
    # The last word is the label where the source is left out, otherwise the one before it is.
    for after in (0, 1):
        place = len(cells) - 1 - after
        label = _BY_SPELLING.get(cells[place].casefold()) if place >= 0 else None
        if label is not None:
            return _with_label(cells[:place], label, cells[place + 1] if after else "")
    return _Unread(ProblemReason.UNKNOWN_LABEL, f"neither of its last two words is one of {', '.join(LABELS)}")


def _with_label(before: list[str], label: str, source: str) -> list[str] | _Unread:
    if not before or not _FILE.search(before[-1]):
        return _Unread(ProblemReason.MISSING_FILE, f"no file name stands before {label!r}")
    return [" ".join(before[:-1]), before[-1], label, source]


def _respell(sources: pd.Series[Any]) -> tuple[pd.Series[Any], dict[str, int]]:
    wrong = sources[sources.isin(list(SOURCE_SPELLINGS))]
    return sources.replace(SOURCE_SPELLINGS), {str(name): int(n) for name, n in wrong.value_counts().items()}


def _table(records: dict[int, list[str]], columns: tuple[str, ...]) -> pd.DataFrame:
    index = pd.Index(list(records), dtype="int64", name="line")
    return pd.DataFrame(list(records.values()), index=index, columns=list(columns), dtype="string")
