"""Holes look like real marks, stand on clean ground, and have a counterpart that is as clean."""

from __future__ import annotations

import numpy as np

from pipeline.benchmark.fills.holes import CLEAR, SIZES, holes
from pipeline.benchmark.fills.subjects import Subject
from pipeline.types import Box


def subjects(count: int = 8, size: tuple[int, int] = (96, 128)) -> list[Subject]:
    """Every second has a mark 8 high and 12 wide near its upper left corner, every third a border on the right."""
    found = []
    for number in range(count):
        marks = [("side", Box(10, 6, 22, 14))] if number % 2 == 0 else []
        marks += [("border", Box(100, 0, 128, 96))] if number % 3 == 0 else []
        found.append(Subject(f"id{number}", number // 2, marks, np.full(size, number, dtype=np.uint8)))
    return found


def test_holes_have_the_shape_of_printed_marks_as_cleansing_grows_them() -> None:
    every = subjects()
    for size, times in SIZES.items():
        made = list(holes(every, size, 0))
        assert {hole.here.piece.shape.shape for hole in made} == {(12 * times, 16 * times)}
        assert all(hole.here.piece.shape.all() for hole in made)


def test_holes_and_counterparts_touch_nothing_detected() -> None:
    every = subjects()
    for size in SIZES:
        made = list(holes(every, size, 0))
        assert len(made) == len(every)
        for hole in made:
            for place in (hole.here, hole.counterpart):
                subject = every[place.subject]
                assert not (place.mask(subject.size) & subject.marked(dilation=CLEAR)).any()


def test_a_hole_stands_where_marks_stand_unless_that_is_taken() -> None:
    for hole in holes(subjects(), "mark", 0):
        at_home = (hole.here.piece.y, hole.here.piece.x) == (4, 8)
        assert at_home == (hole.here.subject % 2 == 1)


def test_the_counterpart_is_the_same_shape_at_the_same_place_of_another_image() -> None:
    for hole in holes(subjects(), "mark", 0):
        assert hole.counterpart.subject != hole.here.subject
        assert hole.counterpart.piece == hole.here.piece or (
            (hole.counterpart.piece.y, hole.counterpart.piece.x) == (hole.here.piece.y, hole.here.piece.x)
        )


def test_holes_follow_the_seed_and_the_image_alone() -> None:
    def places(seed: int) -> list[tuple[int, int, int]]:
        return [(hole.here.subject, hole.here.piece.y, hole.here.piece.x) for hole in holes(subjects(), "large", seed)]

    assert places(0) == places(0)
    assert places(0) != places(1)


def test_without_marks_there_is_no_shape_to_take() -> None:
    assert list(holes([Subject("a", None, [], np.zeros((64, 64), np.uint8))] * 3, "mark", 0)) == []


def test_marks_too_large_for_an_image_are_left_out() -> None:
    wide = Subject("wide", 1, [("word", Box(0, 0, 60, 20))], np.zeros((64, 64), np.uint8))
    bare = Subject("bare", 2, [], np.zeros((64, 64), np.uint8))
    assert list(holes([wide, bare], "mark", 0)) == []
