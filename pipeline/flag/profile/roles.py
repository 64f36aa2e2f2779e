"""What the columns of a table are for, guessed from the names that public chest x-ray data sets give them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

from pipeline.errors import InputError, did_you_mean
from pipeline.flag.profile import aliases
from pipeline.flag.profile.aliases import EXTENSION, Family
from pipeline.statistics import Floats

_MOSTLY_UNIQUE: Final = 0.5
"""A column with more different values than this share of its rows tells rows apart, not classes."""
_LONG: Final = 30
"""Longer cells than this, in characters and on average, are free text."""
_MOSTLY_NUMBERS: Final = 0.8
"""A column of text is one of numbers when at least this share of its known cells are."""
MULTI_LABEL: Final = "|"
REST: Final = "the rest"
MAX_CLASSES: Final = 10
"""Above, or where a cell holds several labels, the positive class is compared with the rest only."""


@dataclass(frozen=True)
class Roles:
    """Which column of a table is what.

    Attributes:
        label: holds the classes.
        positive: the class that AUROC is about.
        group: patients; None where they are unknown, then every row is its own patient.
        split: train, test and so on.
        features: columns that could give the label away.
        left_out: columns that are none of these, and why they are not looked at.
        copies: equal values are equal pictures or the same file.
        near: equal values are pictures of one exposure.
    """

    label: str
    positive: str
    group: str | None = None
    split: str | None = None
    features: dict[str, Family] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    copies: str | None = None
    near: str | None = None


def guess_roles(
    table: pd.DataFrame,
    *,
    label: str | None = None,
    positive: str | None = None,
    group: str | None = None,
    split: str | None = None,
    columns: Sequence[str] = (),
) -> Roles:
    """Roles of the columns of `table`, unknown cells null; what is given is not guessed.

    Args:
        table: one row an image.
        label, positive, group, split: see `Roles`.
        columns: the only columns to look at, whatever they hold.

    Raises:
        InputError: a given column or class is not there, or the label or its positive class cannot be guessed.
    """
    for name in filter(None, (label, group, split, *columns)):
        if name not in table.columns:
            raise InputError(f"No column {name!r}. {did_you_mean(name, table.columns)}")
    label = label or _first(table, aliases.LABEL)
    if label is None:
        raise InputError(
            f"Which column holds the label? None is called {', '.join(aliases.LABEL)}. Say it with --label; candidates "
            f"are {', '.join(_candidates(table)) or 'none: no column has 2 to 10 different values'}."
        )
    group, split = group or _first(table, aliases.GROUP), split or _first(table, aliases.SPLIT)
    taken = {label, group, split}
    features: dict[str, Family] = {}
    left_out: dict[str, str] = {}
    for name in columns or [name for name in table.columns if name not in taken]:
        why = None if name in columns else _why_not(table[name])
        if why is None:
            features[name] = aliases.FAMILIES.get(plain(name), "other")
        else:
            left_out[name] = why
    return Roles(
        label=label,
        positive=_positive(table[label], positive),
        group=group,
        split=split,
        features=features,
        left_out=left_out,
        copies=_first(table, (*aliases.HASH, *aliases.FILE[2:])),
        near=aliases.NEAR if aliases.NEAR in table.columns else None,
    )


def with_extension(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with a column `EXTENSION`, the ending of its file names, where it names files and has no such column.

    Endings are compared without case. Of several columns that name files the first with two endings is taken.
    """
    if {EXTENSION, "file_format"} & set(table.columns):
        return table
    found = [_endings(table[name]) for alias in aliases.FILE for name in table.columns if plain(name) == alias]
    found = [endings for endings in found if endings.notna().any()]
    if not found:
        return table
    return table.assign(
        **{EXTENSION: next((endings for endings in found if len(endings.dropna().unique()) > 1), found[0])}
    )


def compared(labels: pd.Series[Any], positive: str) -> pd.Series[Any]:
    """The classes that are compared: those of `labels`, or `positive` and `REST`.

    The latter with more than `MAX_CLASSES` or where cells hold several labels, of which any may be the positive one.
    """
    text = labels.astype("string")
    several = text.str.contains(MULTI_LABEL, regex=False).fillna(False)
    if not several.any() and text.nunique() <= MAX_CLASSES:
        return text
    parts = text[several].str.split(MULTI_LABEL).map(lambda names: positive in map(str.strip, names))
    hit = (text == positive).fillna(False).astype(bool)
    hit[several] = parts.astype(bool)
    return text.where(text.isna(), pd.Series(np.where(hit, positive, REST), index=text.index, dtype="string"))


def class_names(labels: pd.Series[Any]) -> list[str]:
    """The single classes that a label column holds, the most frequent first."""
    parts = labels.dropna().astype("string").str.split(MULTI_LABEL).explode().str.strip()
    counts = parts[parts != ""].value_counts()
    return [str(name) for name in counts.sort_index().sort_values(ascending=False, kind="stable").index]


def numbers_in(cells: pd.Series[Any]) -> Floats | None:
    """The numbers of a column, NaN where there is none; None for a column of something else.

    Text counts when most of it is numbers; a year sign is cut off (``057Y``).
    """
    if pd.api.types.is_bool_dtype(cells):
        return None
    if pd.api.types.is_numeric_dtype(cells):
        return cells.to_numpy(dtype=np.float64, na_value=np.nan)
    text = cells.astype("string").str.strip().str.replace(r"(?<=\d)[Yy]$", "", regex=True)
    values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    known = int(text.notna().sum())
    return values if known and np.isfinite(values).sum() >= _MOSTLY_NUMBERS * known else None


def plain(name: str) -> str:
    """A column name in lower case with underscores for everything else: ``View Position`` -> ``view_position``."""
    return re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")


def _first(table: pd.DataFrame, wanted: Iterable[str]) -> str | None:
    names = {plain(name): name for name in reversed(list(table.columns))}
    return next((names[alias] for alias in wanted if alias in names and table[names[alias]].notna().any()), None)


def _candidates(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if 2 <= table[name].nunique() <= MAX_CLASSES]


def _why_not(cells: pd.Series[Any]) -> str | None:
    """Why a column is not looked at, None where it is."""
    name, known = plain(str(cells.name)), cells.dropna()
    if name in aliases.LEFT_OUT:
        return aliases.LEFT_OUT[name]
    if not len(known):
        return "empty"
    if len(cells.unique()) == 1:
        return "the same in every row"
    if name in aliases.FAMILIES:
        return None
    if name == aliases.NEAR or name in aliases.FILE or name in aliases.HASH or aliases.IDENTIFIER.search(name):
        return "it identifies images, patients or studies"
    values = numbers_in(known)
    if values is not None and (values % 1 > 0).any():
        return None  # a measurement; whole numbers may be identifiers
    text = known.astype("string")
    if text.str.len().mean() > _LONG:
        return "free text"
    # Below ten values anything is mostly unique.
    return "different in most rows" if known.nunique() > max(10, _MOSTLY_UNIQUE * len(known)) else None


def _endings(names: pd.Series[Any]) -> pd.Series[Any]:
    found = names.astype("string").str.extract(r"\.([A-Za-z][A-Za-z0-9]{1,4}(?:\.gz)?)$", expand=False)
    return found.str.casefold()


def _positive(labels: pd.Series[Any], positive: str | None) -> str:
    names = class_names(labels)
    if len(names) < 2:
        raise InputError(
            f"Column {labels.name!r} has {len(names)} class; two or more are needed. Give another --label."
        )
    if positive is not None:
        if positive not in names:
            raise InputError(f"Column {labels.name!r} has no class {positive!r}. {did_you_mean(positive, names)}")
        return positive
    guessed = next((name for known in aliases.POSITIVE for name in names if name.casefold() == known), None)
    if guessed is None and len(names) > 2:
        raise InputError(f"Which class of {labels.name!r} is it about? Say it with --positive: {', '.join(names)}.")
    return guessed or names[-1]
