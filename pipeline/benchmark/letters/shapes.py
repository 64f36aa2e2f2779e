"""What stands on films and is no letter: lines, wires, rings, clips, arrows, ticks, screws, blobs, textures."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Ink = NDArray[np.uint8]
Rng = np.random.Generator


def _empty(cell: int) -> Ink:
    return np.zeros((cell, cell), np.uint8)


def _point(rng: Rng, cell: int, margin: float = 0.1) -> tuple[int, int]:
    x, y = rng.uniform(margin * cell, (1 - margin) * cell, 2).round().astype(int).tolist()
    return x, y


def line(rng: Rng, cell: int) -> Ink:
    """One to four straight lines, apart or crossing."""
    ink = _empty(cell)
    for _ in range(int(rng.integers(1, 5))):
        cv2.line(ink, _point(rng, cell), _point(rng, cell), 255, int(rng.integers(1, 7)), cv2.LINE_AA)
    return ink


def wire(rng: Rng, cell: int) -> Ink:
    """A smooth curve across the cell."""
    t = np.linspace(0, 1, 40)[:, None]
    a, b, c, d = rng.uniform(-0.3, 1.3, (4, 2)) * cell
    points = (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d
    ink = _empty(cell)
    cv2.polylines(ink, [points.round().astype(np.int32)], False, 255, int(rng.integers(1, 6)), cv2.LINE_AA)
    return ink


def ring(rng: Rng, cell: int) -> Ink:
    """An electrode, a washer, a coil: rings, whole or broken, with or without a lead."""
    ink, radius = _empty(cell), int(rng.integers(4, cell // 2 - 4))
    centre, gap = (cell // 2, cell // 2), float(rng.choice([360, 360, 330]))
    axes = (radius, max(2, round(radius * rng.uniform(0.5, 1))))
    cv2.ellipse(ink, centre, axes, rng.uniform(0, 360), 0, gap, 255, int(rng.integers(1, 6)), cv2.LINE_AA)
    if rng.random() < 0.4:
        cv2.circle(ink, centre, max(2, radius // 3), 255, -1, cv2.LINE_AA)
    if rng.random() < 0.4:
        cv2.line(ink, centre, _point(rng, cell), 255, 2, cv2.LINE_AA)
    return ink


def disc(rng: Rng, cell: int) -> Ink:
    """Filled discs and ovals: buttons, pellets, coins."""
    ink = _empty(cell)
    for _ in range(int(rng.integers(1, 5))):
        axes = rng.integers(2, 16, 2).tolist()
        cv2.ellipse(ink, _point(rng, cell), (axes[0], axes[1]), rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
    return ink


def polygon(rng: Rng, cell: int) -> Ink:
    """A filled or outlined triangle, square or worse."""
    points = np.array([_point(rng, cell, 0.25) for _ in range(int(rng.integers(3, 7)))], dtype=np.int32)
    ink = _empty(cell)
    if rng.random() < 0.6:
        cv2.fillPoly(ink, [points], 255, cv2.LINE_AA)
    else:
        cv2.polylines(ink, [points], True, 255, int(rng.integers(1, 5)), cv2.LINE_AA)
    return ink


def arrow(rng: Rng, cell: int) -> Ink:
    """Arrows, thin or solid, and bare arrow heads."""
    ink, tip = _empty(cell), float(rng.uniform(0.2, 0.6))
    start, end = _point(rng, cell), _point(rng, cell)
    if rng.random() < 0.6:
        cv2.arrowedLine(ink, start, end, 255, int(rng.integers(1, 7)), cv2.LINE_AA, tipLength=tip)
        return ink
    middle, reach, angle = np.array([cell / 2] * 2), rng.uniform(6, 25), rng.uniform(0, 2 * np.pi)
    sides = angle + np.array([0, 2.4, -2.4])
    corners = middle + reach * np.stack([np.cos(sides), np.sin(sides)], axis=1)
    if rng.random() < 0.4:  # a shaft behind the head
        away = -np.array([np.cos(angle), np.sin(angle)])
        ends = [(middle + k * reach * away).round().astype(int).tolist() for k in (0, 2)]
        cv2.line(ink, ends[0], ends[1], 255, max(2, round(reach / 3)), cv2.LINE_AA)
    cv2.fillPoly(ink, [corners.round().astype(np.int32)], 255, cv2.LINE_AA)
    return ink


def ticks(rng: Rng, cell: int) -> Ink:
    """A ruler: ticks along a line; or a row of dashes or dots."""
    ink, step, y = _empty(cell), int(rng.integers(4, 14)), int(rng.integers(20, cell - 20))
    length, thick = int(rng.integers(2, 14)), int(rng.integers(1, 4))
    for x in range(4, cell - 4, step):
        cv2.line(ink, (x, y), (x, y - length), 255, thick)
    if rng.random() < 0.6:
        cv2.line(ink, (4, y), (cell - 4, y), 255, thick)
    return np.ascontiguousarray(np.rot90(ink, int(rng.integers(2))))


def screw(rng: Rng, cell: int) -> Ink:
    """A rod with a head, a clip, a staple, a pin: bars that meet, with unequal ends."""
    ink, (x, y) = _empty(cell), (cell // 2, cell // 2)
    long, wide = rng.uniform(14, 40), rng.uniform(2, 9)
    cv2.ellipse(ink, (x, y), (round(long), round(wide)), 0, 0, 360, 255, -1, cv2.LINE_AA)
    if rng.random() < 0.6:
        cv2.circle(ink, (x - round(long), y), round(wide * rng.uniform(1, 2)), 255, -1, cv2.LINE_AA)
    around = cv2.getRotationMatrix2D((x, y), rng.uniform(0, 360), 1)
    return np.asarray(cv2.warpAffine(ink, around, (cell, cell)))


def cross(rng: Rng, cell: int) -> Ink:
    """A cross, plus sign or star."""
    ink, centre, reach = _empty(cell), np.array([cell / 2] * 2), rng.uniform(4, 24)
    arms, thick = int(rng.integers(2, 5)), int(rng.integers(1, 5))
    for angle in rng.uniform(0, np.pi) + np.arange(arms) * np.pi / arms:
        away = reach * np.array([np.cos(angle), np.sin(angle)])
        ends = [(centre + sign * away).round().astype(int).tolist() for sign in (-1, 1)]
        cv2.line(ink, ends[0], ends[1], 255, thick, cv2.LINE_AA)
    return ink


def texture(rng: Rng, cell: int) -> Ink:
    """Irregular patches: noise, smoothed and cut at a height, as vessels, ribs, gas and film faults give."""
    sigma = rng.uniform(1.5, 8, 2)
    noise = cv2.GaussianBlur(rng.standard_normal((cell, cell)).astype(np.float32), (0, 0), sigma[0], sigmaY=sigma[1])
    noise = np.asarray(noise / noise.std(), dtype=np.float32)
    ink = np.clip((noise - rng.uniform(0.3, 1.8)) * rng.uniform(100, 600), 0, 255).astype(np.uint8)
    around = cv2.getRotationMatrix2D((cell / 2, cell / 2), rng.uniform(0, 180), 1)
    return np.asarray(cv2.warpAffine(ink, around, (cell, cell)))


SHAPES: tuple[Callable[[Rng, int], Ink], ...] = (
    *(line, wire, wire, ring, ring, disc, polygon, arrow, ticks, screw, cross, texture, texture, texture),
)
