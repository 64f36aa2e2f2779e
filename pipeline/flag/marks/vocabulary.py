"""What printed words mean, and which may be kept.

Only words of this public vocabulary are ever stored: any other word on a film may be a patient's name.
"""

from __future__ import annotations

import re
import unicodedata

from pipeline.types import RegionKind

SIDES = frozenset({"L", "R", "D", "I", "E", "LEFT", "RIGHT", "DER", "IZQ", "LT", "RT"})
POSITIONS = frozenset(
    {
        "AP",
        "PA",
        "LAT",
        "LATERAL",
        "PORTABLE",
        "PORTATIL",
        "PORT",
        "MOBILE",
        "BEDSIDE",
        "BED",
        "SUPINE",
        "SUPINO",
        "SUPINA",
    }
    | {"ERECT", "UPRIGHT", "STANDING", "SITTING", "SENTADO", "SEMI-SENTADO", "SEMISENTADO", "SEMI-ERECT", "SEMIERECT"}
    | {"DECUB", "DECUBITO", "AP ERECT", "AP SUPINE", "AP PORTABLE", "PORTABLE AP", "AP SITTING", "AP MOBILE"}
    | {"ERECT PA", "PA ERECT"}
)
"""Side and position words in English, Spanish, Portuguese and Italian."""

PANELS = frozenset("ABCFGHabcdfgh")
"""Letters of figure panels that are no side marker."""

_DATE = re.compile(
    r"^\d{1,4}\s*[/.:\-]\s*\d{1,2}(\s*[/.:\-]\s*\d{1,4})?([ ,T]*\d{1,2}:\d{2}(:\d{2})?)?(\s*[AP]M)?$", re.IGNORECASE
)
_DAY = re.compile(r"^(DAY|DIA|TAG|JOUR)\s*\d{1,3}$", re.IGNORECASE)
_NUMBER = re.compile(r"^[\d.,\s%+-]+(CM|MM|KV|MA)?$", re.IGNORECASE)


def classify(read: str | None) -> tuple[RegionKind, str | None]:
    """Kind of a mark from what was read on it, and the text that may be kept (None: nothing).

    Args:
        read: as the recogniser gave it; None or empty: nothing could be read.
    """
    text = (read or "").strip(" .,:;_|()[]'\"*")
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).upper()
    if not plain:
        return "glyph", None
    if plain in SIDES and (len(text) > 1 or text.isupper()):
        return "side", plain
    if plain in POSITIONS:
        return "position", plain
    if text in PANELS:
        return "panel", text
    if _DATE.match(plain):
        return "date", None
    if _DAY.match(plain) or _NUMBER.match(plain):
        return "number", None
    return ("word", None) if sum(c.isalnum() for c in plain) > 1 else ("glyph", None)
