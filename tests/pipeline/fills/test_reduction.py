"""Coarser grids: known pixels alone decide, and what they lose comes back as grain."""

from __future__ import annotations

import numpy as np

from pipeline.fills.reduction import enlarged, grain, reduced


def test_cells_are_means_of_their_known_pixels() -> None:
    plane = np.arange(24, dtype=np.float32).reshape(4, 6) / 24
    hole = np.zeros((4, 6), dtype=np.bool_)
    hole[0, 0] = hole[2:, 4:] = True
    coarse, holes = reduced(plane, hole, 2)
    assert holes.tolist() == [[True, False, False], [False, False, True]]
    np.testing.assert_allclose(coarse[0, 0], np.mean([1, 6, 7]) / 24, rtol=1e-6)
    np.testing.assert_allclose(coarse[1, 1], np.mean([14, 15, 20, 21]) / 24, rtol=1e-6)
    assert coarse[1, 2] == 0


def test_cut_cells_at_the_border_count_what_they_have() -> None:
    coarse, holes = reduced(np.full((5, 7), 0.4, np.float32), np.zeros((5, 7), dtype=np.bool_), 3)
    assert coarse.shape == (2, 3)
    np.testing.assert_allclose(coarse, 0.4, rtol=1e-6)
    assert not holes.any()


def test_a_smooth_plane_survives_there_and_back() -> None:
    axis = np.linspace(0, 1, 60, dtype=np.float32)
    plane = 0.2 + 0.5 * axis[:, None] * axis[None, :50]
    coarse, _ = reduced(plane, np.zeros(plane.shape, dtype=np.bool_), 4)
    assert np.abs(enlarged(coarse, 4, plane.shape) - plane)[4:-4, 4:-4].max() < 0.005


def test_grain_is_a_piece_of_what_is_known_and_as_strong_as_beside_the_hole() -> None:
    generator = np.random.default_rng(0)
    residual = generator.normal(0, 0.01, (100, 200)).astype(np.float32)
    residual[:, 120:] *= 10
    region = np.zeros(residual.shape, dtype=np.bool_)
    region[40:60, 40:60] = True
    residual[region] = 99.0
    lifted = grain(residual, region, region, np.random.default_rng(1))[40:60, 40:60]
    assert 0.008 < lifted.std() < 0.012
    windows = np.lib.stride_tricks.sliding_window_view(residual, (20, 20))
    assert (windows == lifted).all(axis=(2, 3)).any()


def test_an_edge_is_not_lifted_with_the_grain() -> None:
    residual = np.random.default_rng(0).normal(0, 0.01, (60, 60)).astype(np.float32)
    region = np.zeros(residual.shape, dtype=np.bool_)
    region[:, :30] = True
    residual[30, 30:] = 1.0  # every place as large holds it
    residual[region] = 0.0
    strength = residual[:, 30:45].std()
    assert grain(residual, region, region, np.random.default_rng(1)).max() <= 4 * strength < 1


def test_where_nothing_as_large_is_known_grain_is_noise_of_that_strength() -> None:
    residual = np.random.default_rng(0).normal(0, 0.02, (60, 60)).astype(np.float32)
    region = np.zeros((60, 60), dtype=np.bool_)
    region[5:55, 5:55] = True
    lifted = grain(np.where(region, np.float32(99), residual), region, region, np.random.default_rng(1))
    assert 0.015 < lifted[5:55, 5:55].std() < 0.025
    assert (lifted[:5] == 0).all()
