"""What a reading means, and that nothing outside the public vocabulary survives."""

from __future__ import annotations

import pytest

from pipeline.flag.marks.vocabulary import PANELS, POSITIONS, SIDES, classify


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
        ("66822959", "number", None),
        ("3.5 cm", "number", None),
        ("JOHN SMITH", "word", None),
        ("MS", "word", None),
        ("RU86924996", "word", None),
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
    public = SIDES | POSITIONS | PANELS
    for word in public:
        assert classify(word)[1] in public, word
