from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from models import ModelError, build
from pipeline.benchmark.removal.plausibility import Judge, distances, likeness, probe_scores


def test_distance_is_in_standard_deviations_of_the_real_images():
    real = np.stack([np.tile([0.0, 2.0], 5), np.full(10, 3.0)], axis=1)  # the second feature never varies
    assert distances(np.array([[0.0, 3.0], [4.0, 99.0]]), real).tolist() == [0.0, 2.0]


def described(shift: float, images: int = 12):
    rng = np.random.default_rng(0)
    return [(rng.normal(size=6), rng.normal(size=(8, 6)) + shift) for _ in range(images)], rng.normal(size=(40, 6))


@pytest.mark.parametrize(("shift", "low", "high"), [(0.0, 0.3, 0.7), (3.0, 0.98, 1.0)])
def test_the_probe_finds_what_there_is(shift, low, high):
    images, real = described(shift)
    scores = probe_scores(images, np.arange(12) // 2, real)
    own, queries = np.array([a for a, _ in scores]), np.concatenate([b for _, b in scores])
    assert queries.shape == (96,)
    assert low <= (own[:, None] < queries).mean() <= high


def test_scores_are_out_of_fold():
    """Features that tell every image from every other teach nothing of the next one."""
    images = [(np.eye(12)[n], np.stack([np.eye(12)[n]] * 2)) for n in range(12)]
    scores = probe_scores(images, np.arange(12), np.zeros((20, 12)))
    assert all(np.ptp([own, *queries]) == 0 for own, queries in scores)


def test_the_judge_describes_texture_and_brightness():
    model, spec = build("small", classes=("a", "b"), input_size=(32, 32))
    judge = Judge(model, spec)
    flat, noise = np.full((1, 32, 32), 128, np.uint8), np.random.default_rng(0).integers(0, 255, (2, 32, 32), np.uint8)
    rows = judge.describe(np.concatenate([flat, noise, flat]))
    assert rows.shape == (4, 2 * (16 + 32 + 64 + 128))
    np.testing.assert_allclose(rows[0], rows[3], atol=1e-6)
    assert np.linalg.norm(rows[1] - rows[2]) < np.linalg.norm(rows[1] - rows[0])
    with pytest.raises(ModelError, match="network of stages"):
        Judge(nn.Linear(2, 2), spec)


def test_likeness_is_one_for_the_image_itself():
    picture = np.random.default_rng(0).integers(0, 255, (32, 32), np.uint8)
    same, other = likeness(np.stack([picture, picture.T.copy()]), picture)
    assert same == 1
    assert other < 0.5
