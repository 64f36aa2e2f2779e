"""Pointers are drawn where they are said to be; a network learns to tell two shapes apart; weights survive saving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.benchmark.arrows import training
from pipeline.benchmark.arrows.drawing import draw_arrow
from pipeline.flag.marks.shapes import CROP
from pipeline.randomness import numpy_generator


@pytest.mark.parametrize("number", range(12))
def test_a_drawn_pointer_fills_its_box_and_leaves_the_rest_alone(number: int) -> None:
    image = np.full((300, 300), 120, dtype=np.uint8)
    drawn = draw_arrow(image, numpy_generator(number), (150, 150))
    assert drawn is not None
    after, box = drawn
    rows, columns = np.nonzero(np.abs(after.astype(int) - 120) > 30)
    extent = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.abs(np.subtract(extent, box.as_tuple())).max() <= 2
    assert (image == 120).all()


def test_nothing_is_drawn_where_it_does_not_fit() -> None:
    assert draw_arrow(np.zeros((40, 40), np.uint8), numpy_generator(0), (0, 0)) is None


def test_learns_to_tell_two_shapes_apart_the_same_way_every_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pointers = rng.random(512) < 0.5
    crops = rng.normal(0, 0.1, (512, 2, CROP, CROP))
    crops[pointers, :, :, 12:20] += 1
    example = (crops.astype(np.float16), pointers)
    network = training.train_arrows([example])
    training.save_arrows(network, tmp_path / "a.npz")
    training.save_arrows(training.train_arrows([example]), tmp_path / "b.npz")
    with np.load(tmp_path / "a.npz") as one, np.load(tmp_path / "b.npz") as other:
        assert all(np.array_equal(one[name], other[name]) for name in one.files)
        assert set(one.files) == set(network.state_dict())
