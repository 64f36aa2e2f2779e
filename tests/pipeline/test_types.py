"""Boxes, regions and the store transform."""

from __future__ import annotations

import pytest

from pipeline.types import Box, Region, StoreTransform


def test_iou_known_answer() -> None:
    assert Box(0, 0, 10, 10).iou(Box(5, 0, 15, 10)) == pytest.approx(50 / 150)
    assert Box(0, 0, 10, 10).iou(Box(10, 0, 20, 10)) == 0.0


def test_box_refuses_empty() -> None:
    with pytest.raises(ValueError, match="x1 > x0"):
        Box(3, 0, 3, 5)


def test_clip_to_nothing() -> None:
    assert Box(-5, -5, -1, -1).clipped(10, 10) is None
    assert Box(-5, 2, 4, 20).clipped(10, 10) == Box(0, 2, 4, 10)


@pytest.mark.parametrize(("width", "height"), [(2500, 2048), (333, 1024), (64, 64)])
def test_transform_round_trip(width: int, height: int) -> None:
    transform = StoreTransform.fit(width, height, 640)
    box = Box(10.5, 20.25, 40.0, 60.0)
    back = transform.to_original(transform.to_store(box))
    assert back.as_tuple() == pytest.approx(box.as_tuple(), abs=1e-9)


def test_transform_centres_and_fits() -> None:
    transform = StoreTransform.fit(200, 100, 50)
    whole = transform.to_store(Box(0, 0, 200, 100))
    assert whole.as_tuple() == (0, 12, 50, 37)


def test_region_id_depends_on_place_and_kind() -> None:
    here = Region("a" * 64, "side", Box(1, 2, 3, 4), "glyph", 0.9)
    assert here.region_id == Region("a" * 64, "side", Box(1, 2, 3, 4), "text", 0.1).region_id
    assert here.region_id != Region("a" * 64, "side", Box(1, 2, 3, 5), "glyph", 0.9).region_id
    assert here.region_id != Region("a" * 64, "word", Box(1, 2, 3, 4), "glyph", 0.9).region_id
