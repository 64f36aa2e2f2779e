"""The vascular tree of the lungs: branching from both hila, thinner towards the periphery."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.ingest.synthetic.canvas import Canvas, Plane, Points, Pose, ellipse

_TRUNKS = 7
_GENERATIONS = 4

Segment = tuple[float, Points]
"""Width in body units, path (n, 2)."""


def vessels(canvas: Canvas, pose: Pose, rng: np.random.Generator) -> Plane:
    """cm of blood in the middle of the lung, (size, size)."""
    segments: list[Segment] = []
    hila = canvas.blank()
    for side in (-1, 1):
        hilum = np.array([side * 0.17 + 0.03 * pose.turn, -0.07 if side < 0 else -0.12])
        canvas.fill(hila, ellipse((hilum[0], hilum[1]), (0.045, 0.085)), 0.7)
        for angle in np.linspace(-1.25, 1.45, _TRUNKS):
            lateral = np.array([side * np.cos(angle), np.sin(angle)])
            width = 0.024 + 0.010 * max(float(np.sin(angle)), 0.0)  # more blood flows to the bases
            segments += _tree(hilum, lateral, rng.uniform(0.13, 0.19), width, _GENERATIONS, rng)
    drawing = canvas.blank()
    for width, path in sorted(segments, key=lambda segment: segment[0]):
        canvas.stroke(drawing, path, width, min(0.28 + 28 * width, 1.0))
    return np.asarray(2.0 * canvas.soften(drawing, 0.003) + 3.2 * canvas.soften(hila, 0.035), dtype=np.float32)


def _tree(
    start: Points, direction: Points, length: float, width: float, generation: int, rng: np.random.Generator
) -> Iterator[Segment]:
    bend = rng.normal(0, 0.34)
    middle = start + 0.5 * length * direction
    onward = _rotated(direction, bend)
    end = middle + 0.5 * length * onward
    yield width, np.stack([start, middle, end])
    if generation > 1:
        for turn in (-1, 1):
            branch = _rotated(onward, turn * rng.uniform(0.2, 0.8))
            yield from _tree(end, branch, length * rng.uniform(0.65, 0.95), 0.64 * width, generation - 1, rng)


def _rotated(direction: Points, angle: float) -> Points:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([cos * direction[0] - sin * direction[1], sin * direction[0] + cos * direction[1]])
