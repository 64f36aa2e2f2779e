"""Boxes of original pixels land on the right stored pixels, and pieces move where they should."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.cleanse.masks import Piece, content_size, content_window, free_place, mark_mask, pieces
from pipeline.errors import InputError
from pipeline.randomness import numpy_generator
from pipeline.types import Box

RECORD = {"image_id": "a", "width": 96, "height": 128, "scale": 0.5, "pad_x": 8.0, "pad_y": 0.0}


def test_content_is_the_scaled_original_without_padding() -> None:
    assert content_size(RECORD) == (64, 48)
    assert content_window(RECORD) == (slice(0, 64), slice(8, 56))


def test_box_maps_to_stored_pixels_and_grows() -> None:
    mask = mark_mask([Box(8, 8, 24, 20)], RECORD, dilation=1)
    assert mask.shape == (64, 48)
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 10, 3, 12)
    assert mask.sum() == 8 * 10


def test_growth_stops_at_the_border_of_the_content() -> None:
    mask = mark_mask([Box(0, 0, 4, 4)], RECORD, dilation=3)
    assert mask.sum() == 5 * 5
    assert mask[:5, :5].all()


def test_box_outside_its_image_is_refused() -> None:
    with pytest.raises(InputError, match="outside its 96 x 128 image a"):
        mark_mask([Box(100, 0, 120, 10)], RECORD, dilation=1)


def test_pieces_rebuild_the_mask_largest_first() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[1:3, 1:3] = mask[10:15, 10:20] = mask[15:17, 12] = True
    found = list(pieces(mask))
    rebuilt = np.zeros_like(mask)
    for piece in found:
        rebuilt[piece.window(piece.y, piece.x)] |= piece.shape
    assert np.array_equal(rebuilt, mask)
    assert [piece.pixels for piece in found] == [52, 4]


def test_same_place_keeps_corners_and_centre() -> None:
    shape = np.ones((10, 10), dtype=bool)
    assert Piece(0, 90, shape).same_place((100, 100), (50, 80)) == (0, 70)
    assert Piece(45, 45, shape).same_place((100, 100), (50, 80)) == (20, 35)
    assert Piece(0, 0, shape).same_place((10, 10), (50, 80)) == (20, 35)


def test_free_place_finds_the_only_free_spot() -> None:
    blocked = np.ones((30, 30), dtype=bool)
    blocked[7:12, 20:24] = False
    assert free_place(Piece(0, 0, np.ones((5, 4), dtype=bool)), blocked, numpy_generator(0)) == (7, 20)


def test_free_place_without_room_touches_least() -> None:
    blocked = np.ones((10, 10), dtype=bool)
    blocked[4, 6] = False
    y, x = free_place(Piece(0, 0, np.ones((2, 2), dtype=bool)), blocked, numpy_generator(0))
    assert y in (3, 4)
    assert x in (5, 6)


def test_free_places_are_uniform() -> None:
    generator, piece = numpy_generator(1), Piece(0, 0, np.ones((1, 1), dtype=bool))
    drawn = [free_place(piece, np.zeros((2, 2), dtype=bool), generator) for _ in range(2000)]
    assert all(abs(drawn.count(corner) - 500) < 80 for corner in ((0, 0), (0, 1), (1, 0), (1, 1)))
