"""Ribs, spine, collarbones, shoulder blades and upper arms: cm of bone along the beam."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.ingest.synthetic.canvas import Canvas, Plane, Points, Pose, ellipse, moved, smooth_loop, smooth_path

_CORE, _CORTEX = 0.42, 0.85
"""Spongy core and dense rim of a bone, as shares of its full density."""
_HALF_WIDTHS = np.array([0.31, 0.46, 0.565, 0.63, 0.67, 0.695, 0.712, 0.72, 0.72, 0.71])


@dataclass(frozen=True)
class Cage:
    """The rib cage of one patient: ten pairs of tilted half rings."""

    half_widths: Points
    """(10,) widest place of each ring, body units."""
    heads: Points
    """(10,) height at which each ring leaves the spine."""
    drops: Points
    """(10,) how far its front lies below its back."""
    density: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Cage:
        """A random cage: wide or narrow, ribs steep or level."""
        number = np.arange(10)
        spacing, slope = rng.uniform(0.108, 0.122), rng.uniform(0.8, 1.2)
        barrel = rng.uniform(0.97, 1.03)
        heads = -0.83 + spacing * number + rng.normal(0, 0.004, 10)
        return cls(barrel * _HALF_WIDTHS, heads, np.asarray(slope * (0.16 + 0.030 * number)), rng.uniform(0.75, 1.2))

    def arc(self, number: int, start: float, end: float) -> Points:
        """Centre line of rib `number` (0 = first) between two angles in degrees; 0 at the spine, 90 at the side."""
        angle = np.radians(np.linspace(start, end, 20))
        lift = 0.035 * np.sin(np.clip(2 * angle, 0, np.pi))
        y = self.heads[number] + self.drops[number] * (1 - np.cos(angle)) / 2 - lift
        return np.stack([self.half_widths[number] * np.sin(angle), y], axis=1)

    def rim(self) -> Points:
        """Inner side of the chest wall, (10, 2), from the first rib down."""
        return np.stack([self.half_widths - 0.012, self.heads + self.drops / 2], axis=1)


def bones(canvas: Canvas, cage: Cage, pose: Pose, *, ap: bool) -> Plane:
    """cm of bone, (size, size). In AP views the shoulder blades lie over the lungs."""
    front, shoulder = 0.03 * pose.turn, -0.05 if ap else 0.03
    total = 1.5 * _ribs(canvas, cage, 4, 100, 0.040, 0.0)
    total += 0.95 * _ribs(canvas, cage, 82, 138, 0.046, front)
    total += 1.05 * _spine(canvas) + 1.9 * _collarbones(canvas, front) + 1.5 * _shoulders(canvas, shoulder)
    return np.asarray(cage.density * total, dtype=np.float32)


def _ribs(canvas: Canvas, cage: Cage, start: float, end: float, width: float, shift: float) -> Plane:
    drawing = canvas.blank()
    for number in range(10):
        if start > 45 and not 1 <= number <= 7:
            continue  # the first and the lowest fronts are cartilage or hidden
        for side in (-1, 1):
            _bone(canvas, drawing, moved(cage.arc(number, start, end) * [side, 1], shift, 0), width)
    return canvas.soften(drawing, 0.003)


def _bone(canvas: Canvas, drawing: NDArray[np.uint8], path: Points, width: float, end_width: float = 0.0) -> None:
    """A tube along `path`: less dense core, dense edges. Tapers from `width` to `end_width` where that is given."""
    tangent = np.gradient(path, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) / np.linalg.norm(tangent, axis=1, keepdims=True)
    half = np.linspace(width, end_width or width, len(path))[:, None] / 2
    upper, lower = path - half * normal, path + half * normal
    canvas.fill(drawing, np.concatenate([upper, lower[::-1]]), _CORE)
    for edge, strength in ((upper, 0.8), (lower, 1.0)):
        canvas.stroke(drawing, edge, 0.008, strength * _CORTEX)


def _spine(canvas: Canvas) -> Plane:
    """Vertebral bodies with discs between, their end plates and pedicles, and the spinous processes."""
    drawing = canvas.blank()
    y = -1.25
    for number in range(20):
        tall, wide = 0.095 + 0.0022 * number, 0.066 + 0.0012 * number
        corners = np.array(
            [[-wide, 0], [-0.88 * wide, tall / 2], [-wide, tall], [wide, tall], [0.88 * wide, tall / 2], [wide, 0]]
        )
        canvas.fill(drawing, moved(corners, 0, y), 0.5)
        for edge in (corners[[0, 5]], corners[[2, 3]]):
            canvas.stroke(drawing, moved(edge, 0, y), 0.010, 0.8)
        for side in (-1, 1):
            canvas.fill(drawing, ellipse((side * 0.6 * wide, y + 0.35 * tall), (0.012, 0.020)), 0.85)
        canvas.fill(drawing, ellipse((0, y + 0.8 * tall), (0.012, 0.030)), 0.95)
        y += tall + 0.022
    return canvas.soften(drawing, 0.007)


def _collarbones(canvas: Canvas, front: float) -> Plane:
    drawing = canvas.blank()
    for side in (-1, 1):
        path = np.array([[0.075, -0.60], [0.22, -0.655], [0.42, -0.68], [0.62, -0.745], [0.82, -0.75]]) * [side, 1]
        path[:, 0] += front * np.array([1.0, 0.8, 0.5, 0.2, 0.0])
        _bone(canvas, drawing, smooth_path(path, 5), 0.062, 0.048)
    return canvas.soften(drawing, 0.003)


def _shoulders(canvas: Canvas, shift: float) -> Plane:
    """Shoulder blades, thin but for their outer border, and the heads and shafts of the upper arms."""
    blades, arms = canvas.blank(), canvas.blank()
    for side in (-1, 1):
        outline = np.array([[0.58, -0.68], [0.82, -0.64], [0.84, -0.48], [0.76, -0.25], [0.685, -0.02], [0.63, -0.08]])
        outline = moved(outline, shift, 0) * [side, 1]
        canvas.fill(blades, smooth_loop(outline), 0.20)
        canvas.stroke(blades, smooth_path(outline[2:5]), 0.022, 0.50)
        spine = moved(np.array([[0.58, -0.60], [0.75, -0.68], [0.93, -0.735]]), shift, 0)
        _bone(canvas, blades, smooth_path(spine * [side, 1]), 0.022, 0.045)
        shaft = np.array([[0.95, -0.55], [1.01, -0.3], [1.08, 0.2], [1.12, 0.7]]) * [side, 1]
        _bone(canvas, arms, smooth_path(shaft), 0.12, 0.09)
        canvas.fill(arms, ellipse((side * 0.935, -0.585), (0.095, 0.095)), 0.6)
    return canvas.soften(blades, 0.005) + 1.6 * canvas.soften(arms, 0.006)
