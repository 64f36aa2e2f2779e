"""The words that data sets use for views, sexes, ages and splits, brought to one spelling. Unknown is None."""

from __future__ import annotations

import re
from typing import Literal

from pipeline.types import Split

View = Literal["PA", "AP", "AP Supine", "L"]

_VIEWS: dict[str, View] = {
    "pa": "PA",
    "postero anterior": "PA",
    "posteroanterior": "PA",
    "pa erect": "PA",
    "ap": "AP",
    "antero posterior": "AP",
    "anteroposterior": "AP",
    "ap erect": "AP",
    "ap supine": "AP Supine",
    "aps": "AP Supine",
    "ap horizontal": "AP Supine",
    "l": "L",
    "ll": "L",
    "rl": "L",
    "lat": "L",
    "lateral": "L",
}
_SEXES = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O"}
_SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "other_source": "other_source",
}
_UNKNOWN = frozenset({"", "na", "n/a", "nan", "none", "null", "unknown", "unk", "?", "-"})
_YEARS_PER_UNIT = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([YMWD]?)", re.IGNORECASE)
OLDEST = 120
"""Larger ages are typing errors (NIH ChestX-ray14 has 411), years."""


def known(text: str | None) -> str | None:
    """`text` without surrounding blanks; None where it is one of the words for "unknown"."""
    stripped = (text or "").strip()
    return None if stripped.casefold() in _UNKNOWN else stripped


def view(text: str | None) -> View | None:
    """PA, AP, AP Supine or L (either side); None for anything else, decubitus and CT planes included."""
    return _VIEWS.get(re.sub(r"[\s_-]+", " ", text or "").strip().casefold())


def sex(text: str | None) -> str | None:
    """M, F or O."""
    return _SEXES.get((text or "").strip().casefold())


def age(text: str | None) -> float | None:
    """Age in years from a number, or from one with a DICOM unit (``018M``); None for ``50+`` or ``early 40s``."""
    match = _AGE.fullmatch((text or "").strip())
    if match is None:
        return None
    years = float(match[1]) * _YEARS_PER_UNIT[match[2].upper()]
    return years if years <= OLDEST else None


def split(text: str) -> Split | None:
    """train, val, test or other_source."""
    return _SPLITS.get(text.strip().casefold())
