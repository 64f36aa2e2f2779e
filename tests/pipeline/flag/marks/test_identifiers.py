"""Names, numbers and births are recognised as such, and what stands in one block with them."""

from __future__ import annotations

import pytest

from pipeline.flag.found import Found
from pipeline.flag.marks.identifiers import is_identifier, spread_over_blocks
from pipeline.types import Box, RegionKind


@pytest.mark.parametrize(
    "line",
    [
        "DOE^JOHN",
        "DOE~JOHN",
        "DOE, JOHN",
        "DE LA CRUZ, ANA",
        "PATIENT ID: 123",
        "DOB 01/02/1950",
        "NATO IL 3.4.1961",
        "RU86924996",
        "66822959",
        "123-45-6789",
        "ACC: 4711",
        "MRN 12",
        "063Y",
        "45Y M",
        "F, 71Y",
        "OSPEDALE MAGGIORE",
        "DR SMITH",
    ],
)
def test_identifiers(line: str) -> None:
    assert is_identifier(line)


@pytest.mark.parametrize(
    "line", ["PORTABLE", "AP ERECT", "W: 4096", "DAY 12", "MS", "DR", "3.5 CM", "PAGE: 1 OF 2", ""]
)
def test_harmless_lines(line: str) -> None:
    assert not is_identifier(line)


def _line(kind: RegionKind, row: int, text: str | None = None) -> Found:
    return Found(kind, Box(10, 20 * row, 110, 20 * row + 14), 0.9, "text", text)


def test_the_lines_of_a_block_share_its_secret() -> None:
    block = [_line("word", 0), _line("identifier", 1), _line("date", 2), _line("position", 3, "AP"), _line("word", 9)]
    assert [each.kind for each in spread_over_blocks(block)] == ["identifier"] * 3 + ["position", "word"]


def test_it_is_handed_on_from_line_to_line() -> None:
    block = [_line("identifier", 0), *(_line("word", row) for row in (1, 2, 3))]
    assert {each.kind for each in spread_over_blocks(block)} == {"identifier"}


def test_without_identifier_nothing_changes() -> None:
    block = [_line("word", 0), _line("date", 1)]
    assert spread_over_blocks(block) == block
