"""When a mark counts as found and a box as false, on boxes drawn by hand."""

from __future__ import annotations

import pytest

from pipeline.benchmark.detectors.scoring import false_regions, finder, hits, is_false, new_regions
from pipeline.types import Box, Region, RegionKind

MARK = Box(10, 10, 20, 20)


def region(kind: RegionKind, box: Box) -> Region:
    return Region("x", kind, box, "test", 1.0)


@pytest.mark.parametrize(
    ("box", "found", "false"),
    [
        (Box(10, 10, 20, 20), True, False),
        (Box(10, 10, 13, 20), True, False),  # IoU 0.3
        (Box(10, 10, 12, 20), False, False),  # IoU 0.2, all of it on the mark
        (Box(0, 0, 100, 100), True, True),  # covers the mark, but hardly any of it lies there
        (Box(15, 0, 55, 40), True, True),  # half of the mark
        (Box(16, 0, 56, 40), False, True),
        (Box(30, 30, 40, 40), False, True),
    ],
)
def test_the_rule_at_its_edges(box: Box, found: bool, false: bool) -> None:
    assert (hits(box, MARK), is_false(box, [MARK])) == (found, false)


def test_where_there_is_no_mark_every_box_is_false() -> None:
    assert is_false(MARK, [])


def test_a_mark_is_found_by_its_own_kind_first_then_by_the_best_fit() -> None:
    near, exact = Box(10, 10, 20, 24), MARK
    assert finder("side", MARK, [region("glyph", exact), region("side", near)]) == region("side", near)
    assert finder("date", MARK, [region("glyph", near), region("side", exact)]) == region("side", exact)
    assert finder("side", MARK, [region("side", Box(40, 40, 50, 50))]) is None


def test_a_band_does_not_find_the_letter_on_it_nor_a_letter_the_band() -> None:
    band = Box(0, 0, 100, 21)
    assert finder("side", MARK, [region("border", band)]) is None
    assert finder("border", band, [region("side", band)]) is None
    assert finder("border", band, [region("corner", band)]) is not None


def test_what_was_there_before_is_neither_new_nor_false() -> None:
    before = [region("side", MARK)]
    again, split = region("side", Box(10, 10, 20, 21)), region("glyph", Box(11, 11, 19, 19))
    planted, stray, beside = (
        Box(60, 60, 70, 70),
        region("word", Box(80, 80, 90, 90)),
        region("word", Box(69, 60, 90, 70)),
    )
    new = new_regions([again, split, stray, beside], before)
    assert new == [split, stray, beside]
    assert false_regions(new, [planted], before) == [stray]
