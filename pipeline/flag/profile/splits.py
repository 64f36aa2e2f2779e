"""What no split may tear apart: copies of a picture and images of a patient."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from pipeline.flag.profile.roles import Roles

EXAMPLES: Final = 8
"""Groups that a check names."""
_ROWS: Final = 4
"""Rows of a group that are named."""


def repeated_rows(table: pd.DataFrame) -> pd.Series[bool]:
    """Rows that repeat an earlier one in every cell."""
    return table.duplicated()


def split_checks(table: pd.DataFrame, roles: Roles, names: Sequence[str], *, pseudonyms: bool) -> list[dict[str, Any]]:
    """Copies and patients, over and across splits.

    Args:
        table: one row an image, repeated rows included.
        roles: of its columns.
        names: what to call each row, (n,).
        pseudonyms: whether patient ids may be shown; otherwise patients are shown as rows.

    Returns:
        Dicts {check, groups, rows, examples, meaning, kind}. `groups` and `rows` are None where the table does not
        say; `examples`: lists of rows, at most `EXAMPLES` groups; `kind` is ``problem``, or ``information`` for what
        can well be right.
    """
    named = pd.Series(list(names), index=table.index, dtype="string")
    look = _Look(table, roles, named)
    repeats = table[repeated_rows(table)].index
    found = [
        _check(
            "repeated rows",
            [named[repeats].tolist()] if len(repeats) else [],
            len(repeats),
            "they repeat an earlier row in every cell; numbers here count each once",
            groups=len(repeats),
        ),
        look("pictures with several labels", roles.copies, roles.label, "one of the labels must be wrong"),
        look("pictures in several splits", roles.copies, roles.split, "the test set was trained on"),
        look("near duplicates in several splits", roles.near, roles.split, "the test set was all but trained on"),
        look("patients in several splits", roles.group, roles.split, "a classifier can recognise a patient"),
        look(
            "patients with several labels",
            roles.group,
            roles.label,
            "a course of disease or a follow-up can well be so",
            kind="information",
        ),
    ]
    if pseudonyms:
        look.name_patients(found)
    return found


class _Look:
    """Groups of rows that are equal in one column and differ in another."""

    def __init__(self, table: pd.DataFrame, roles: Roles, names: pd.Series[Any]) -> None:
        self._table = table
        self._roles = roles
        self._names = names

    def __call__(
        self,
        check: str,
        same: str | None,
        differing: str | None,
        meaning: str,
        kind: Literal["problem", "information"] = "problem",
    ) -> dict[str, Any]:
        missing = [what for what, column in (("what to group by", same), ("a split", differing)) if column is None]
        if same is None or differing is None:
            return _check(check, None, None, f"not known: no column says {' or '.join(missing)}", kind)
        part = self._table[[same, differing]].dropna()
        torn = part[part.groupby(same)[differing].transform("nunique") > 1]
        groups = [self._rows(torn, rows, differing) for rows in _first_groups(torn, same)]
        return _check(check, groups, len(torn), meaning, kind, groups=torn[same].nunique())

    def _rows(self, torn: pd.DataFrame, rows: pd.Index[Any], differing: str) -> list[str]:
        """One row of each of the differing values first."""
        ordered = torn.loc[rows]
        repeated = ordered[differing].duplicated().to_numpy()
        return self._names[rows[np.argsort(repeated, kind="stable")]].tolist()[:_ROWS]

    def name_patients(self, found: Sequence[dict[str, Any]]) -> None:
        """Show the ids of patients beside rows."""
        ids = dict(zip(self._names, self._table[self._roles.group], strict=True)) if self._roles.group else {}
        for check in found:
            if check["check"].startswith("patients"):
                check["patients"] = [str(ids[group[0]]) for group in check["examples"]]


def _first_groups(torn: pd.DataFrame, same: str) -> Iterator[pd.Index[Any]]:
    """Rows of the groups that come first in the table."""
    chosen: list[Hashable] = torn[same].drop_duplicates().tolist()[:EXAMPLES]
    for value in chosen:
        yield torn.index[torn[same] == value]


def _check(
    check: str,
    examples: list[list[str]] | None,
    rows: int | None,
    meaning: str,
    kind: str = "problem",
    groups: int | None = None,
) -> dict[str, Any]:
    shown = [group[:EXAMPLES] for group in examples or []]
    return {"check": check, "groups": groups, "rows": rows, "examples": shown, "meaning": meaning, "kind": kind}
