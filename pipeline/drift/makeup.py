"""Whether the data set is made up differently: sources, manufacturers, views, formats, classes."""

from __future__ import annotations

from typing import Final

import numpy as np

from pipeline.drift.audits import Audit, Stacked
from pipeline.drift.estimates import ENOUGH, Question, Row

COLUMNS: Final = {
    "label": "class",
    "source": "source",
    "manufacturer": "manufacturer",
    "modality": "modality",
    "file_format": "file format",
    "view": "view",
    "sex": "sex",
}
"""Columns of the images table, and what they are called."""
UNKNOWN: Final = "unknown"


def stacked_makeup(then: Audit, now: Audit) -> Stacked:
    """All images of both audits; unknown values are a value."""
    columns = ["image_id", "patient_id", *COLUMNS]
    parts = [audit.images[columns].astype({name: object for name in COLUMNS}) for audit in (then, now)]
    return Stacked.of(*(part.fillna(dict.fromkeys(COLUMNS, UNKNOWN)) for part in parts))


def makeup_questions(stacked: Stacked) -> list[Question]:
    """The share of every value that at least `ENOUGH` images of either audit have."""
    rows = np.arange(len(stacked.images))
    questions = []
    for column, title in COLUMNS.items():
        values = stacked.images[column].astype(str).to_numpy()
        for name in sorted(set(values)):
            has = values == name
            if max((has & stacked.later).sum(), (has & ~stacked.later).sum()) >= ENOUGH and not has.all():
                questions.append(Question({"about": title, "name": name, "class": None}, rows, has.astype(np.float64)))
    return questions


def new_values(stacked: Stacked) -> tuple[list[Row], list[Row]]:
    """Values that only the later audit has, and those that only the earlier one has, with their images, `n`."""
    found: tuple[list[Row], list[Row]] = ([], [])
    for column, title in COLUMNS.items():
        values = stacked.images[column].astype(str)
        there, here = values[~stacked.later].value_counts(), values[stacked.later].value_counts()
        for side, only, other in ((0, here, there), (1, there, here)):
            names = sorted(set(only.index) - set(other.index) - {UNKNOWN})
            found[side].extend({"about": title, "name": name, "n": int(only[name])} for name in names)
    return found
