"""Windows to learn from keep clear of marks; holes look like marks."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError
from pipeline.train.inpainter_examples import CleanWindows

MakeDataset: TypeAlias = Any
COLUMNS = ["image_id", "kind", "x0", "y0", "x1", "y1"]


def marks(dataset: DatasetVersion, *boxes: tuple[float, float, float, float], kind: str = "side") -> pd.DataFrame:
    """The same boxes on every image."""
    rows = [(name, kind, *box) for name in dataset.images["image_id"] for box in boxes]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_no_window_meets_a_region(wide: DatasetVersion) -> None:
    """Marks are white, which nothing else in these pictures is."""
    windows = CleanWindows(wide, marks(wide, (4, 4, 40, 20)), wide.rows("train"), 0)
    for step in range(8):
        pictures, holes = windows.batch(step)
        assert pictures.shape == holes.shape
        assert holes.dtype == torch.bool
        assert float(pictures.max()) < 1
        touched = holes.flatten(1).float().mean(dim=1)
        assert (touched > 0).all()
        assert (touched < 1).all()


def test_marks_are_there_to_be_met(wide: DatasetVersion) -> None:
    windows = CleanWindows(wide, pd.DataFrame(columns=COLUMNS), wide.rows("train"), 0)
    assert max(float(windows.batch(step)[0].max()) for step in range(8)) == 1


def test_batches_depend_on_seed_and_step_alone(wide: DatasetVersion) -> None:
    regions = marks(wide, (4, 4, 40, 20))
    one, same, other = (CleanWindows(wide, regions, wide.rows("train"), seed) for seed in (1, 1, 2))
    one.batch(3)
    assert all(torch.equal(*pair) for pair in zip(one.batch(5), same.batch(5), strict=True))
    assert not torch.equal(one.batch(5)[0], other.batch(5)[0])
    assert not torch.equal(one.batch(5)[0][0], one.batch(9)[0][0])


def test_holes_have_the_size_of_marks(wide: DatasetVersion) -> None:
    """With marks of 36 x 16 only, many holes are such a box, grown alike on all sides.

    Fewer than half: every image has its mark at the same place, so that no hole can stand there.
    """
    windows = CleanWindows(wide, marks(wide, (4, 4, 40, 20)), wide.rows("train"), 0)
    sizes = []
    for step in range(6):
        for hole in windows.batch(step)[1][:, 0].numpy():
            rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
            sizes.append((rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1))
    alike = [height - 16 == width - 36 and 2 <= height - 16 <= 10 for height, width in sizes]
    assert 0.15 < np.mean(alike) < 0.5


def test_grey_levels_are_those_of_the_store(wide: DatasetVersion) -> None:
    pictures = CleanWindows(wide, pd.DataFrame(columns=COLUMNS), wide.rows("train"), 0).batch(0)[0] * 255
    assert torch.allclose(pictures, pictures.round(), atol=1e-4)


def test_small_pictures_give_small_windows(discs: DatasetVersion) -> None:
    pictures, _ = CleanWindows(discs, pd.DataFrame(columns=COLUMNS), discs.rows("train"), 0).batch(1)
    assert pictures.shape[-2:] == (40, 40)


def test_nothing_to_learn_from(discs: DatasetVersion, wide: DatasetVersion) -> None:
    with pytest.raises(InputError, match="has 0 images to learn from"):
        CleanWindows(discs, pd.DataFrame(columns=COLUMNS), [], 0)
    crowded = CleanWindows(wide, marks(wide, (0, 0, 200, 200), kind="border"), wide.rows("train"), 0)
    with pytest.raises(InputError, match="none is free of marks"):
        crowded.batch(0)
