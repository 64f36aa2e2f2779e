from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from models.lungs import SIDE
from pipeline.errors import InputError
from pipeline.train.fit_lungs import LungExample, fit_lungs
from pipeline.train.lung_augment import augment_lungs


def chest(seed: int, side: int = SIDE) -> LungExample:
    """Two dark ellipses in a grey picture."""
    rng = np.random.default_rng(seed)
    lungs = np.zeros((side, side), np.uint8)
    for middle in (0.32, 0.68):
        centre = tuple(int(v * side) for v in (middle + rng.normal(0, 0.01), 0.5 + rng.normal(0, 0.02)))
        cv2.ellipse(lungs, centre, (int(0.13 * side), int(0.3 * side)), 0, 0, 360, 1, cv2.FILLED)
    picture = np.where(lungs > 0, 0.2, 0.7) + 0.02 * rng.standard_normal((side, side))
    return LungExample(picture.clip(0, 1).astype(np.float32), lungs > 0)


def test_augmentation_depends_on_its_generator_only() -> None:
    example = chest(0)
    before = example.picture.copy(), example.lungs.copy()
    first, again, other = (
        augment_lungs(example.picture, example.lungs, 128, np.random.default_rng(n)) for n in (1, 1, 2)
    )
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])
    assert np.array_equal(before[0], example.picture)
    assert np.array_equal(before[1], example.lungs)


def test_augmented_pictures_keep_range_type_and_lungs() -> None:
    example = chest(0, 320)
    areas = []
    for seed in range(60):
        picture, lungs = augment_lungs(example.picture, example.lungs, SIDE, np.random.default_rng(seed))
        assert picture.shape == lungs.shape == (SIDE, SIDE)
        assert (picture.dtype, lungs.dtype) == (np.float32, np.bool_)
        assert 0 <= picture.min() <= picture.max() <= 1
        areas.append(lungs.mean())
    assert 0.05 < min(areas) < 0.6 * example.lungs.mean()
    assert 1.3 * example.lungs.mean() < max(areas) < 0.6


def test_mask_moves_with_the_picture() -> None:
    """Over many changes the moved lungs stay the darker part."""
    example = chest(0)
    darker = 0
    for seed in range(40):
        picture, lungs = augment_lungs(example.picture, example.lungs, 128, np.random.default_rng(seed))
        ring = cv2.dilate(lungs.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool) & ~lungs
        darker += np.median(picture[lungs]) < np.median(picture[ring])
    assert darker >= 34


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(InputError, match="no pictures to learn lungs from"):
        fit_lungs([], [])


def test_same_arguments_give_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.train.fit_lungs.BATCH", 2)
    monkeypatch.setattr("pipeline.train.fit_lungs.PHANTOM_SHARE", 1)
    nets = [fit_lungs([chest(0)], [chest(1)], steps=2, seed=seed).state_dict() for seed in (0, 0, 1)]
    assert all(torch.equal(nets[0][name], nets[1][name]) for name in nets[0])
    assert not all(torch.equal(nets[0][name], nets[2][name]) for name in nets[0])


@pytest.mark.slow
def test_it_learns_two_dark_ellipses() -> None:
    net = fit_lungs([chest(seed) for seed in range(6)], [], steps=60, seed=0)
    example = chest(99)
    with torch.no_grad():
        found = net(torch.from_numpy(example.picture)[None, None])[0, 0].numpy() > 0
    assert 2 * (found & example.lungs).sum() / (found.sum() + example.lungs.sum()) > 0.9
