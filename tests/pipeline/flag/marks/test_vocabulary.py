"""What a reading means, and that nothing outside the public vocabulary survives."""

from __future__ import annotations

import pytest

from pipeline.flag.marks.vocabulary import EXAMS, PANELS, POSITIONS, SIDES, _by_look, classify


@pytest.mark.parametrize(
    ("read", "kind", "text"),
    [
        ("L", "side", "L"),
        ("R.", "side", "R"),
        ("(D)", "side", "D"),
        ("Izq", "side", "IZQ"),
        ("PORTÁTIL", "position", "PORTATIL"),
        ("Supine", "position", "SUPINE"),
        ("AP ERECT", "position", "AP ERECT"),
        ("a", "panel", "a"),
        ("12/03/2020", "date", None),
        ("09/03/2020, 11:09:20", "date", None),
        ("11:09", "date", None),
        ("Day 8", "number", None),
        ("66822959", "identifier", None),
        ("3.5 cm", "number", None),
        ("JOHN SMITH", "word", None),
        ("MS", "word", None),
        ("RU86924996", "identifier", None),
        ("DOE^JOHN", "identifier", None),
        ("DOB 01/02/1950", "identifier", None),
        ("12 MAR 2020", "date", None),
        ("@16:25HRS", "date", None),
        ("D5", "number", None),
        ("d 7", "number", None),
        ("C: Day 8", "number", None),
        ("(A)", "panel", "A"),
        ("P0RTABIE", "position", "PORTABLE"),
        ("SEMI SENTAD0", "position", "SEMI-SENTADO"),
        ("APERECT", "position", "AP ERECT"),
        ("liegend", "position", "LIEGEND"),
        ("couché", "position", "COUCHE"),
        ("Sn", "side", "SN"),
        ("RX Tórax", "word", "RX TORAX"),
        ("Tórax", "word", "TORAX"),
        ("MOBILE", "position", "MOBILE"),
        ("NOBILE", "word", None),  # a surname one letter from MOBILE
        ("x", "glyph", None),
        ("---", "number", None),  # dashes stand for a missing number in overlays
        ("", "glyph", None),
        (None, "glyph", None),
    ],
)
def test_readings(read: str | None, kind: str, text: str | None) -> None:
    assert classify(read) == (kind, text)


def test_a_name_next_to_a_public_word_is_not_kept() -> None:
    for name in ("SMITH L", "L SMITH", "PORTABLE SMITH", "DER SMITH", "R. JONES", "AP JONES"):
        assert classify(name)[1] is None, name


def test_every_kept_text_is_public() -> None:
    for word in SIDES | POSITIONS | EXAMS | PANELS:
        assert classify(word)[1] == word


@pytest.mark.parametrize("words", [SIDES, POSITIONS, EXAMS])
def test_no_two_words_look_alike(words: frozenset[str]) -> None:
    assert len(_by_look(words)) == len(words)
