"""What printed words mean, and which may be kept.

Only words of this public vocabulary are ever stored: any other word on a film may be a patient's name. Reading is
forgiving: look-alike characters (0 and O, 1 and I) count as equal, and a long word may have one letter wrong. What is
kept is then the word of the vocabulary, never the reading.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from pipeline.flag.marks.identifiers import is_identifier, words
from pipeline.types import RegionKind

SIDES = words(
    "L R D I E LEFT RIGHT LT RT DER IZQ DCHA DERECHA IZDA IZQUIERDA DX SX SN DESTRA SINISTRA DIREITA ESQUERDA",
    "DROITE DROIT GAUCHE LINKS RECHTS RE LI",
)
"""Side letters and words in English, Spanish, Portuguese, Italian, French and German."""
POSITIONS = words(
    "AP PA LAT LATERAL PROFIL PROFILE FRONTAL OBLIQUE LL",
    "PORTABLE PORTATIL PORTATILE PORT MOBILE MOBIL FAHRBAR BEDSIDE BED BETT CAMA LETTO LIT STATION UCI ICU ITU",
    "SUPINE SUPINO SUPINA SUP PRONE PRONO PRONA SEMI-SUPINE ERECT UPRIGHT STANDING SITTING SEMI-ERECT SEMI-UPRIGHT",
    "SEATED SENTADO SENTADA SEMI-SENTADO SEMI-SENTADA SEDEST SEDENTE SEDUTO SEDUTA SEMI-SEDUTO ORTOSTATISMO",
    "ORTOSTATICO BIPEDESTACION ENCAMADO DEITADO ACOSTADO ASIS ASSIS COUCHE DEBOUT SEMI LIEGEND LIGGEND STEHEND",
    "SITZEND STAAND ZITTEND RECUMBENT DECUBITO DECUBITUS DECUB DECU INSPIRATION EXPIRATION INSP EXP GRID",
)
"""How the film was taken. Several together count too (AP ERECT); Dutch LIGGEND and STAAND stand on public films."""
EXAMS = words(
    "CHEST THORAX TORAX TORACE RX CXR XRAY DX CR DR SERIE SERIES PAGE CM MM HRS DAY DIA TAG JOUR GIORNO AUF EN IM"
)
"""Words about the picture that say nothing of the patient."""
PANELS = frozenset("ABCFGHabcdfgh")
"""Letters of figure panels that are no side marker."""

_ALL = SIDES | POSITIONS | EXAMS
_FORGIVEN = 7
"""Words of at least this length may have one letter wrong; short ones would become names (MOBILE, Nobile)."""
_EVIDENT = 4
"""One of several words that were read as one must have this length: PAPA is no two PA."""
_LOOK_ALIKE = str.maketrans("01|!5862Q", "OIIISBGZO")
_MONTH = (
    "(?:JAN|ENE|GEN|FEB|FEV|MAR|APR|ABR|AVR|MAI|MAY|MAG|JUN|GIU|JUL|LUG|AUG|AGO|AOU|SEP|SET|OCT|OTT|OUT|OKT|NOV|DEC"
    "|DIC|DEZ)[A-Z]*"
)
_DATES = (
    r"\d{1,4}\s*(?P<apart>[/.:\-])\s*\d{1,2}\s*(?P=apart)\s*\d{1,4}",
    r"\d{1,4}\s*[/\-]\s*\d{1,2}",
    rf"\d{{1,4}}[\s.\-/]*{_MONTH}[\s.,\-/]*\d{{0,4}}",
    rf"{_MONTH}[\s.\-/]*\d{{1,2}}[\s.,\-/]+\d{{2,4}}",
)
_TIME = r"\d{1,2}[:H]\d{2}([:.]\d{2}([.,]\d+)?)?\s*(HRS?|H|UHR|[AP]\.?M)?"
_DATE = re.compile(rf"^(?=.*\d)({'|'.join(_DATES)})?[ ,T]*({_TIME})?$")
_DAY = re.compile(r"^([A-Z]\s*[:.)]\s*)?(DAYS?|DIA|TAG|JOUR|GIORNO|DAG|D|J)\s*[:#\-]?\s*\d{1,3}$")
_NUMBER = re.compile(r"^[\d.,\s%+=-]+(CM|MM|KV|KVP|MAS?|ML|%)?$")


def classify(read: str | None) -> tuple[RegionKind, str | None]:
    """Kind of a mark from what was read on it, and the text that may be kept (None: nothing).

    Args:
        read: as the recogniser gave it; None or empty: nothing could be read.
    """
    text = (read or "").strip(" .,:;_|()[]{}'\"*@<>")
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).upper()
    if not plain:
        return "glyph", None
    if len(text) == 1:
        return _letter(text)
    if _DAY.match(plain):
        return "number", None
    if _DATE.match(plain):
        return "date", None
    if is_identifier(plain):
        return "identifier", None
    if _NUMBER.match(plain):
        return "number", None
    return _word(plain)


def _letter(text: str) -> tuple[RegionKind, str | None]:
    if text in SIDES:
        return "side", text
    if text in PANELS:
        return "panel", text
    return ("number" if text.isdigit() else "glyph"), None


def _word(plain: str) -> tuple[RegionKind, str | None]:
    """A word or line of words: kept, as the vocabulary writes it, when every word of it is public."""
    tokens = re.findall(r"[^\W_]+", plain)
    joined = "".join(tokens)
    kinds: tuple[tuple[RegionKind, frozenset[str]], ...] = (("side", SIDES), ("position", POSITIONS), ("word", EXAMS))
    for kind, public in kinds:
        known = _public(joined, public)
        if known is not None and len(joined) > 1:
            return kind, known
    parts = _parted(joined)
    if any(len(part) >= _EVIDENT for part in parts):
        tokens = parts
    meant = [_public(token, _ALL) for token in tokens]
    if meant and all(word is not None for word in meant):
        text = " ".join(str(word) for word in meant)
        return ("position" if POSITIONS.intersection(meant) else "word"), text
    return ("word" if sum(c.isalnum() for c in plain) > 1 else "glyph"), None


def _parted(joined: str) -> list[str]:
    """Public words that were read without the spaces between them (APERECT); empty when it cannot be parted so."""
    if not joined:
        return []
    for end in range(len(joined), 1, -1):
        if joined[:end].translate(_LOOK_ALIKE) in _by_look(_ALL):
            rest = _parted(joined[end:])
            if rest or end == len(joined):
                return [joined[:end], *rest]
    return []


@cache
def _by_look(public: frozenset[str]) -> dict[str, str]:
    return {word.replace("-", "").translate(_LOOK_ALIKE): word for word in sorted(public)}


def _public(read: str, public: frozenset[str]) -> str | None:
    """The word of `public` that was meant, if any."""
    looks, look = _by_look(public), read.translate(_LOOK_ALIKE)
    if look in looks:
        return looks[look]
    near = (word for other, word in looks.items() if len(word) >= _FORGIVEN and _one_apart(look, other))
    return next(near, None)


def _one_apart(left: str, right: str) -> bool:
    """Whether one letter added, dropped or changed makes `left` into `right`."""
    short, long = sorted((left, right), key=len)
    if len(long) - len(short) > 1:
        return False
    same = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    return short[same + (len(short) == len(long)) :] == long[same + 1 :]
