"""Known stored values in, filled values out: nothing else moves, whatever the depth, sign, padding or polarity."""

import numpy as np
import pytest
import torch

from pipeline.errors import InputError
from pipeline.export.fill_values import enlarged, repainted
from pipeline.fills import fill

HOLE = np.zeros((40, 50), dtype=bool)
HOLE[10:16, 20:30] = True
NOTHING = np.zeros_like(HOLE)


def ramp(low: float, high: float, dtype: str) -> np.ndarray:
    return np.rint(np.linspace(low, high, 50)[None].repeat(40, axis=0)).astype(dtype)


def paint(image: torch.Tensor) -> torch.Tensor:
    return fill("telea")(image, torch.from_numpy(HOLE)[None, None], None)


@pytest.mark.parametrize(
    ("low", "high", "dtype"), [(20, 200, "uint8"), (300, 4000, "uint16"), (0, 65535, "uint16"), (-2000, 1500, "int16")]
)
@pytest.mark.parametrize("inverted", [False, True])
def test_a_mark_on_a_ramp_becomes_the_ramp(low: int, high: int, dtype: str, inverted: bool) -> None:
    truth = ramp(low, high, dtype)
    marked = truth.copy()
    marked[HOLE] = np.iinfo(dtype).max
    filled = repainted(marked, HOLE, NOTHING, paint, inverted=inverted)
    np.testing.assert_array_equal(filled[~HOLE], truth[~HOLE])
    assert filled.dtype == truth.dtype
    step = (high - low) / 49
    assert np.abs(filled[HOLE].astype(float) - truth[HOLE]).max() < 4 * step


def test_values_outside_a_display_window_are_filled_too() -> None:
    """The fill sees stored values: where a window would show only white, the ramp goes on."""
    marked = ramp(3000, 4000, "uint16")
    marked[HOLE] = 0
    assert repainted(marked, HOLE, NOTHING, paint)[HOLE].min() > 3000


def test_no_fill_reads_padding_and_no_fill_makes_padding() -> None:
    marked = ramp(100, 1000, "uint16")
    marked[:12] = 2000  # padding, white, into which the hole reaches
    seen: list[torch.Tensor] = []

    def look(image: torch.Tensor) -> torch.Tensor:
        seen.append(image.clone())
        return torch.full_like(image, 1.0)

    marked[HOLE] = 4095
    filled = repainted(marked, HOLE, NOTHING, look, padding=(1000, 2000))
    known = marked[12:][~HOLE[12:]]
    # The brightest pixel that is neither mark nor padding is white to the fill.
    assert float(seen[0].max()) == 1.0
    assert known[known < 1000].max() == 982
    assert set(filled[10:12, 22:28].ravel()) == {2000}, "a mark on padding becomes padding"
    assert set(filled[15, 20:30]) <= {982}, "what the fill paints never means padding"
    np.testing.assert_array_equal(filled[~HOLE], marked[~HOLE])


def test_a_filled_value_that_would_mean_padding_moves_beside_it() -> None:
    marked = ramp(0, 1000, "uint16")
    marked[HOLE] = 4000
    marked[0, 0] = 500
    filled = repainted(marked, HOLE, NOTHING, lambda image: torch.full_like(image, 0.5), padding=(495, 505))
    assert set(filled[HOLE]) == {506}


def test_colours_are_filled_one_by_one() -> None:
    truth = np.dstack([ramp(0, 100, "uint8"), ramp(50, 250, "uint8"), ramp(200, 10, "uint8")])
    marked = truth.copy()
    marked[HOLE] = 255
    filled = repainted(marked, HOLE, NOTHING, paint)
    np.testing.assert_array_equal(filled[~HOLE], truth[~HOLE])
    assert np.abs(filled[HOLE].astype(int) - truth[HOLE]).max() < 20


def test_nothing_left_is_an_error() -> None:
    everything = np.ones_like(HOLE)
    with pytest.raises(InputError, match="cover all"):
        repainted(ramp(0, 9, "uint8"), everything, NOTHING, paint)


def test_an_original_pixel_follows_the_stored_pixel_that_shows_it() -> None:
    stored = np.zeros((2, 3), dtype=np.uint8)
    stored[1, 2] = 5
    large = enlarged(stored, 7, 10)
    assert large.shape == (7, 10)
    rows, columns = np.nonzero(large)
    # Centres from 3.5 pixels down and 6.67 to the right lie in that stored pixel.
    assert (rows.min(), columns.min(), rows.max(), columns.max()) == (3, 7, 6, 9)
    assert large.max() == 5
    np.testing.assert_array_equal(enlarged(large, 2, 3), stored)
