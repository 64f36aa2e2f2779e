from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.transform import resize

from pipeline.errors import InputError
from pipeline.explain.random_masks import GridMasks, check_grid


def draws(count, *shape):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, *shape, generator=generator), generator


@pytest.mark.parametrize(("size", "grid"), [((28, 28), 7), ((30, 41), 8), ((5, 9), 2)])
def test_masks_are_those_of_the_published_resize_and_crop(size, grid):
    cells, generator = draws(6, grid, grid)
    masks = GridMasks(grid, torch.empty(1, 1, *size))
    offsets = masks.offsets(6, generator)
    cell = tuple(math.ceil(side / grid) for side in size)
    for made, values, (down, right) in zip(masks.masks(cells, offsets), cells, offsets.tolist(), strict=True):
        large = resize(
            values.numpy(), [(grid + 1) * side for side in cell], order=1, mode="reflect", anti_aliasing=False
        )
        expected = large[down : down + size[0], right : right + size[1]]
        np.testing.assert_allclose(made[0].numpy(), expected, atol=1e-6)


def test_every_offset_within_a_cell_is_drawn():
    masks = GridMasks(7, torch.empty(1, 1, 28, 21))
    offsets = masks.offsets(500, torch.Generator().manual_seed(0))
    assert masks.cell == (4, 3)
    assert set(map(tuple, offsets.tolist())) == {(down, right) for down in range(4) for right in range(3)}


def test_total_is_the_sum_of_the_masks():
    cells, generator = draws(40, 8, 8)
    masks = GridMasks(8, torch.empty(1, 1, 28, 30))
    offsets = masks.offsets(40, generator)
    torch.testing.assert_close(masks.total(cells, offsets), masks.masks(cells, offsets).sum(dim=0))


@pytest.mark.parametrize("grid", [0, 1, 21])
def test_grid_that_does_not_fit_is_named(grid):
    with pytest.raises(InputError, match=rf"30 x 20 has 2 to 20 cells a side, not {grid}"):
        check_grid(grid, (30, 20))
