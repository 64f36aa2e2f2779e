"""Pointers as figure editors draw them: block arrows, thin arrows, bare heads; filled, outlined or both."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.flag.found import Grey8
from pipeline.types import Box

FINER = 4
"""Shapes are drawn this many times larger and averaged down, so that their rims are smooth."""
LENGTHS = (10.0, 120.0)
"""From tip to tail, pixels, log-uniform."""

Points = NDArray[np.float64]
Rng = np.random.Generator


def draw_arrow(image: Grey8, rng: Rng, centre: tuple[float, float]) -> tuple[Grey8, Box] | None:
    """`image` (H, W) with one random pointer about `centre` (x, y), and the box of its ink; None where none fits."""
    length = math.exp(rng.uniform(*np.log(LENGTHS)))
    fill, rim = _coverage(rng, length)
    height, width = fill.shape
    x, y = round(centre[0] - width / 2), round(centre[1] - height / 2)
    if x < 0 or y < 0 or x + width > image.shape[1] or y + height > image.shape[0]:
        return None
    drawn = image.copy()
    place = drawn[y : y + height, x : x + width].astype(np.float32)
    inks = _inks(rng, float(np.median(place)), two=bool(fill.any() and rim.any()))
    opacity = rng.choice([1.0, 1.0, 1.0, rng.uniform(0.6, 1.0)])
    for cover, ink in zip((fill, rim), inks, strict=True):
        place += opacity * cover * (ink - place)
    if rng.random() < 0.4:
        place = np.asarray(cv2.GaussianBlur(place, (0, 0), rng.uniform(0.3, 0.9)), dtype=np.float32)
    drawn[y : y + height, x : x + width] = np.clip(np.rint(place), 0, 255)
    rows, columns = np.nonzero(np.maximum(fill, rim) > 0.3)
    box = Box(*map(float, (x + columns.min(), y + rows.min(), x + columns.max() + 1, y + rows.max() + 1)))
    return drawn, box


def _inks(rng: Rng, ground: float, *, two: bool) -> tuple[float, float]:
    """Grey of filling and rim: mostly white or black, always far from the ground, and from each other."""
    pure = [grey for grey in (0.0, 255.0) if abs(grey - ground) > 45]
    greys = [float(grey) for grey in rng.uniform(0, 255, 6) if abs(grey - ground) > 45]
    one = float(rng.choice(pure if rng.random() < 0.7 or not greys else greys))
    return (one, 255.0 - one if one in (0.0, 255.0) else 0.0) if two else (one, one)


def _coverage(rng: Rng, length: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How much of each pixel the filling and the rim cover."""
    outline, thin = _outline(rng, length)
    angle = float(rng.choice([rng.uniform(0, 2 * math.pi), math.pi / 2 * rng.integers(4)]))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    lines = [line @ turn.T for line in outline]
    rim_width = float(rng.uniform(1.0, max(1.5, min(4.0, length / 12))))
    low = np.min([line.min(axis=0) for line in lines], axis=0) - rim_width - 2
    high = np.max([line.max(axis=0) for line in lines], axis=0) + rim_width + 2
    columns, rows = np.ceil(high - low).astype(int)
    fill, rim = (np.zeros((rows * FINER, columns * FINER), np.uint8) for _ in range(2))
    pixels = [np.rint((line - low) * FINER).astype(np.int32) for line in lines]
    if thin:
        cv2.polylines(rim, pixels, False, 255, max(FINER, round(FINER * rim_width)))
    else:
        style = rng.choice(["filled", "filled", "filled", "both", "outline"]) if length > 16 else "filled"
        if style != "outline":
            cv2.fillPoly(fill, pixels, 255)
        if style != "filled":
            cv2.polylines(rim, pixels, True, 255, max(FINER, round(FINER * rim_width)))
    size = (int(columns), int(rows))
    fill, rim = (np.asarray(cv2.resize(c, size, interpolation=cv2.INTER_AREA), dtype=np.uint8) for c in (fill, rim))
    return np.asarray(fill / 255, dtype=np.float32), np.asarray(rim / 255, dtype=np.float32)


def _outline(rng: Rng, length: float) -> tuple[list[Points], bool]:
    """Lines of a pointer along x with its tip at the origin, and whether they are strokes instead of a polygon."""
    kind = rng.choice(["arrow", "arrow", "arrow", "head", "strokes"])
    if kind == "head":
        half = length * rng.uniform(0.28, 0.6)
        notch = length * rng.choice([0.0, 0.0, rng.uniform(0.15, 0.5)])
        return [np.array([(0, 0), (-length, half), (-length + notch, 0), (-length, -half)])], False
    head = length * rng.uniform(0.2, 0.55) if rng.random() < 0.8 else length * rng.uniform(0.5, 0.7)
    half = head * rng.uniform(0.35, 0.85)
    if kind == "strokes":
        return [np.array([(-head, half), (0, 0), (-head, -half)]), np.array([(-length, 0), (0.0, 0)])], True
    shaft = float(np.clip(half * rng.uniform(0.1, 0.65), 0.6, None))
    half = max(half, 2.0 * shaft)
    neck = -head + head * rng.choice([0.0, 0.0, rng.uniform(0.1, 0.4)])
    upper = [(0, 0), (-head, half), (neck, shaft), (-length, shaft)]
    return [np.array([*upper, *((x, -y) for x, y in upper[:0:-1])])], False
