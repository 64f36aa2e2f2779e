"""Moving one trait of a picture to a given value, and matched changes of equal size that leave the trait where it is.

What is the right control for a change of the whole picture? Not an untouched picture: any change moves a prediction a
little. Not the same change the other way: its effect is the mirror image and would double, not test, the excess. A
placebo must cost as many grey levels, in the same places and of the same texture, and yet not move the trait. Such a
change is the trait's own change, D = changed − picture, run forwards in one half of the picture and backwards in the
other, along a random smooth border: every pixel moves as far as it did, and the mean, spread or sharpness of the whole
stays, or, after a large change, moves much less or the other way.

That fails for traits which are an energy and have no sign, noise and compression: backwards, noise is noise, and a
backwards block is a block. Their placebo runs the picture's own fine detail (picture − blurred picture) forwards and
backwards, scaled to the RMS of D: as fine a texture, no noise, no grid.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError, did_you_mean
from pipeline.flag.film.traits import block_grid, histogram_traits, noise, resolution, sharpness

Plane = NDArray[np.float32]
Move = Callable[[Plane, float, np.random.Generator], Plane]
"""(picture in [0, 1], amount in [0, 1], generator) -> picture; 0 changes least. The generator starts afresh each time.

A larger amount moves the trait further, as far as can be."""

STEPS = 9
"""Amounts tried: halvings of the interval in which the target lies."""
NEAR = 0.5
"""A trait counts as moved when at most this share of its distance from the target is left."""
GRID = 64
"""Side of the field of directions of a placebo, before it is enlarged to the picture."""
PATCH = 1 / 6
"""Size of the patches in which a placebo has one direction: the Gaussian of their field over the picture's sides."""
STEEPNESS = 4.0
"""Of the direction across a border of patches: the larger, the closer to forwards or backwards everywhere."""


def shifted(picture: Plane, trait: str, target: float, seed: int) -> Plane | None:
    """`picture` (H, W) float32 in [0, 1] with `trait` moved to `target`; None where it cannot be moved half of the way.

    * exposure: gamma; contrast: gain about the mean;
    * sharpness: Gaussian blur, or unsharp mask; resolution: sampled down and up, or unsharp mask;
    * compression: coded as JPEG, or deblocked (A. Nosratinia, J. VLSI Signal Processing 27, 2001: the mean of JPEGs of
      the shifted image); noise: Gaussian noise added, or smoothed.

    Args:
        picture: without borders.
        trait: name of `MOVABLE`.
        target: as `measure_traits` measures it.
        seed: of the noise.

    Raises:
        InputError: a trait that cannot be moved.
    """
    if trait not in MOVABLE:
        raise InputError(f"The trait {trait!r} cannot be moved. {did_you_mean(trait, MOVABLE)}")
    before = measured(picture, trait)
    raise_it, lower_it = _MOVES[trait]
    move = raise_it if target > before else lower_it
    low, high = 0.0, 1.0
    best, left = picture, abs(before - target)
    for step in range(STEPS):
        amount = (low + high) / 2 if step else 1.0
        changed = np.clip(move(picture, amount, np.random.default_rng(seed)), 0, 1).astype(np.float32)
        reached = measured(changed, trait)
        if abs(reached - target) < left:
            best, left = changed, abs(reached - target)
        if (reached < target) == (target > before):
            low = amount
            if not step:
                break
        else:
            high = amount
    return best if left <= NEAR * abs(before - target) and best is not picture else None


def measured(picture: Plane, trait: str) -> float:
    """The value of one movable trait, as `measure_traits` gives it for the picture at 8 bits."""
    grey = np.rint(picture * 255).astype(np.uint8)
    match trait:
        case "exposure" | "contrast":
            return histogram_traits(np.bincount(grey.ravel(), minlength=256).astype(np.float64))[trait]
        case "noise":
            return noise(grey)
        case _:
            return _DETAIL[trait](grey.astype(np.float32) / np.float32(255))


def placebos(picture: Plane, changed: Plane, trait: str, count: int, generator: np.random.Generator) -> list[Plane]:
    """`count` pictures as far from `picture` (RMS) as `changed` is, whose `trait` has not moved; see the module."""
    change = changed - picture
    carrier = change if trait not in _UNSIGNED else picture - _blurred(picture, 1.0)
    size = float(np.sqrt((change**2).mean()))
    found = []
    for _ in range(count):
        wave = carrier * _halves(np.abs(carrier), generator)
        scale = 1.0
        for _ in range(3):  # clipping at black and white takes some of it away
            placebo = np.clip(picture + scale * wave, 0, 1)
            scale *= size / max(float(np.sqrt(((placebo - picture) ** 2).mean())), 1e-6)
        found.append(np.clip(picture + scale * wave, 0, 1).astype(np.float32))
    return found


def _halves(weight: Plane, generator: np.random.Generator) -> Plane:
    """A random smooth field (H, W) of about 1 and about −1, both on half of the `weight`."""
    small = (GRID, GRID)
    field = cv2.GaussianBlur(
        generator.standard_normal(small).astype(np.float32), (0, 0), PATCH * GRID, borderType=cv2.BORDER_REFLECT
    )
    order = np.argsort(field, axis=None)
    below = np.cumsum(cv2.resize(weight, small, interpolation=cv2.INTER_AREA).ravel()[order])
    level = field.ravel()[order[int(np.searchsorted(below, below[-1] / 2))]]
    field = np.tanh(STEEPNESS * (field - level) / field.std())
    return np.asarray(cv2.resize(field, weight.shape[::-1], interpolation=cv2.INTER_CUBIC))


def _blurred(picture: Plane, sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), dtype=np.float32)


def _gamma(slope: float) -> Move:
    return lambda picture, amount, _: picture ** np.float32(4.0 ** (slope * amount))


def _gain(most: float) -> Move:
    return lambda picture, amount, _: picture.mean() + (1 + (most - 1) * amount) * (picture - picture.mean())


def _blur(picture: Plane, amount: float, _: np.random.Generator) -> Plane:
    return _blurred(picture, 0.3 + 6 * amount**2)


def _sharpen(picture: Plane, amount: float, _: np.random.Generator) -> Plane:
    return picture + 6 * amount * (picture - _blurred(picture, 1.5))


def _downsample(picture: Plane, amount: float, _: np.random.Generator) -> Plane:
    height, width = picture.shape
    factor = 1 + 7 * amount
    small = (max(round(width / factor), 2), max(round(height / factor), 2))
    coarse = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))


def _code(picture: Plane, amount: float, _: np.random.Generator) -> Plane:
    return _coded(picture, round(95 - 90 * amount))


def _coded(picture: Plane, quality: int) -> Plane:
    grey = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    _, stream = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(stream, cv2.IMREAD_GRAYSCALE), dtype=np.float32) / np.float32(255)


def _deblock(picture: Plane, amount: float, _: np.random.Generator) -> Plane:
    mean = np.zeros_like(picture)
    shifts = [(down, across) for down in range(1, 8, 2) for across in range(1, 8, 2)]
    for down, across in shifts:
        padded = np.pad(picture, ((down, 0), (across, 0)), mode="edge")
        mean += _coded(padded, DEBLOCK_QUALITY)[down:, across:]
    return picture + np.float32(amount) * (mean / np.float32(len(shifts)) - picture)


DEBLOCK_QUALITY = 15
"""Of the JPEGs that are averaged: coarse enough to smooth the blocks of any file worth deblocking."""


def _add_noise(picture: Plane, amount: float, generator: np.random.Generator) -> Plane:
    return picture + np.float32(0.1 * amount) * generator.standard_normal(picture.shape, dtype=np.float32)


def _smooth(picture: Plane, amount: float, _: np.random.Generator) -> Plane:
    return picture + np.float32(amount) * (_blurred(picture, 1.0) - picture)


_DETAIL: dict[str, Callable[[Plane], float]] = {
    "sharpness": sharpness,
    "resolution": resolution,
    "compression": block_grid,
}
_MOVES: dict[str, tuple[Move, Move]] = {
    "exposure": (_gamma(-1), _gamma(1)),
    "contrast": (_gain(4.0), _gain(0.05)),
    "sharpness": (_sharpen, _blur),
    "resolution": (_sharpen, _downsample),
    "compression": (_code, _deblock),
    "noise": (_add_noise, _smooth),
}
"""Trait -> (raises it, lowers it)."""
MOVABLE = tuple(_MOVES)
"""Traits that can be moved."""
_UNSIGNED = frozenset({"noise", "compression"})
