"""Generated sheets repeat, hold every class, and the shipped network names the letters of a sheet it never saw."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.benchmark.letters.sheets import Sheet, make_sheet
from pipeline.flag.marks.letters import CLASSES, letter_odds
from pipeline.flag.marks.strokes import Stroke


@pytest.fixture(scope="module")
def sheet() -> Sheet:
    return make_sheet(2, 0)


@pytest.mark.slow
def test_sheets_repeat(sheet: Sheet) -> None:
    again = make_sheet(2, 0)
    assert np.array_equal(again.crops, sheet.crops)
    assert np.array_equal(again.classes, sheet.classes)


@pytest.mark.slow
def test_the_network_names_letters_it_never_saw(sheet: Sheet) -> None:
    odds = letter_odds([Stroke((0, 0, 1, 1), True, 1.0, crop.astype(np.float32)) for crop in sheet.crops])
    is_letter, called = sheet.classes != CLASSES.index("none"), odds[:, CLASSES.index("none")] < 0.5
    assert is_letter.sum() > 30
    assert called[is_letter].mean() > 0.9
    assert called[~is_letter].mean() < 0.05
