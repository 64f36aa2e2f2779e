"""Windows around holes: every pixel under a mask belongs to one, with surroundings, at a grid where it is shallow."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.fills.windows import LARGEST, MARGIN, REACH, STEP, parts


def mask_of(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros(shape, dtype=np.bool_)
    for y0, y1, x0, x1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


def test_parts_share_the_mask_out_without_overlap() -> None:
    mask = mask_of((300, 400), (10, 30, 10, 50), (36, 60, 10, 50), (150, 190, 200, 260), (290, 300, 380, 400))
    total = np.zeros(mask.shape, dtype=int)
    found = list(parts(mask))
    for part in found:
        total[part.place] += part.own
        assert part.factor == 1
    assert (total == mask).all()
    assert len(found) == 3  # the two that are six pixels apart share a window


def test_windows_show_the_surroundings_and_have_few_sizes() -> None:
    mask = mask_of((500, 500), (200, 220, 300, 345))
    (part,) = parts(mask)
    assert all((side.stop - side.start) % STEP == 0 for side in part.place)
    assert part.place[0].start <= 200 - MARGIN
    assert part.place[1].stop >= 345 + MARGIN


def test_windows_stay_inside_the_image() -> None:
    mask = mask_of((90, 70), (80, 90, 0, 20))
    (part,) = parts(mask)
    assert part.place == (slice(0, 90), slice(0, 70))


@pytest.mark.parametrize(("side", "factor"), [(2 * REACH - 2, 1), (2 * REACH + 2, 2), (8 * REACH - 2, 4)])
def test_deep_holes_are_painted_smaller(side: int, factor: int) -> None:
    (part,) = parts(mask_of((1500, 1500), (500, 500 + side, 500, 500 + side)))
    assert part.factor == factor


def test_thin_holes_are_painted_at_full_resolution_however_long() -> None:
    (part,) = parts(mask_of((600, 900), (100, 120, 20, 880)))
    assert part.factor == 1


def test_no_window_is_larger_than_memory_allows() -> None:
    (part,) = parts(mask_of((3000, 2500), (0, 3000, 0, 20)))
    assert max(side.stop - side.start for side in part.place) <= LARGEST * part.factor
    assert part.factor == 3
