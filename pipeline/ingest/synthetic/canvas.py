"""Drawing in body coordinates: curves, soft-edged shapes and noise, under the pose of one exposure.

Coordinates: x to the right of the picture (the patient's left), y down, both in [-1, 1] for the field of view.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Points = NDArray[np.float64]

_FRACTION_BITS = 4
_FULL = 255


@dataclass(frozen=True)
class Pose:
    """How the patient stood, or lay, before the detector."""

    angle: float
    """Degrees in the plane of the film."""
    shift: tuple[float, float]
    scale: float
    turn: float
    """Rotation about the long axis, in [-1, 1]: moves what lies in front against the spine."""
    breath: float
    """Inspiration: moves the diaphragm down."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Pose:
        """A random, roughly centred pose."""
        return cls(
            angle=rng.normal(0, 1.6),
            shift=(rng.uniform(-0.06, 0.06), rng.uniform(-0.06, 0.04)),
            scale=rng.uniform(0.96, 1.16),
            turn=float(np.clip(rng.normal(0, 0.4), -1, 1)),
            breath=rng.uniform(-0.10, 0.06),
        )


class Canvas:
    """Maps body coordinates to the pixels of a square film and draws there, anti-aliased."""

    def __init__(self, size: int, pose: Pose, width: float) -> None:
        self.size = size
        self.unit = pose.scale * size / 2
        """Pixels of one body unit."""
        cos, sin = np.cos(np.radians(pose.angle)), np.sin(np.radians(pose.angle))
        self._turn = pose.scale * np.array([[cos * width, -sin], [sin * width, cos]])
        self._shift = np.array(pose.shift)

    def pixels(self, points: Points) -> Points:
        """Body coordinates (n, 2) -> pixel coordinates (n, 2)."""
        return np.asarray((points @ self._turn.T + self._shift + 1) * (self.size / 2))

    def coordinates(self, step: int = 1) -> tuple[Plane, Plane]:
        """Body x and y of every `step`-th pixel, each (size / step, size / step)."""
        cells = self.size // step
        film = (np.arange(cells, dtype=np.float32) + 0.5) * np.float32(2 / cells) - 1
        across, down = film[None, :] - self._shift[0], film[:, None] - self._shift[1]
        back = np.linalg.inv(self._turn)
        x, y = (row[0] * across + row[1] * down for row in back)
        return x.astype(np.float32), y.astype(np.float32)

    def blank(self) -> NDArray[np.uint8]:
        """An empty drawing; 255 stands for 1."""
        return np.zeros((self.size, self.size), dtype=np.uint8)

    def fill(self, drawing: NDArray[np.uint8], outline: Points, value: float = 1.0) -> None:
        """Set the inside of closed `outline` (n, 2) to `value` in [0, 1]."""
        cv2.fillPoly(drawing, [self._fixed(outline)], round(_FULL * value), cv2.LINE_AA, _FRACTION_BITS)

    def stroke(self, drawing: NDArray[np.uint8], path: Points, width: float, value: float = 1.0) -> None:
        """Draw `path` (n, 2), `width` in body units; lines thinner than a pixel get fainter instead."""
        wide = width * self.unit
        level = round(_FULL * value * min(wide, 1.0))
        cv2.polylines(drawing, [self._fixed(path)], False, level, max(1, round(wide)), cv2.LINE_AA, _FRACTION_BITS)

    def soften(self, drawing: NDArray[np.uint8] | Plane, softness: float) -> Plane:
        """The drawing as float32 in [0, 1], blurred by `softness` body units."""
        plane = drawing.astype(np.float32) / _FULL if drawing.dtype == np.uint8 else drawing
        return blurred(np.asarray(plane, dtype=np.float32), max(softness * self.unit, 0.4))

    def area(self, outline: Points, softness: float) -> Plane:
        """Inside of the closed smooth curve through `outline` (n, 2): 1, outside 0."""
        drawing = self.blank()
        self.fill(drawing, smooth_loop(outline))
        return self.soften(drawing, softness)

    def bulge(self, outline: Points, rim: float) -> Plane:
        """A rounded body seen from the front: depth in [0, 1], elliptic over the outermost `rim` body units."""
        drawing = self.blank()
        self.fill(drawing, outline)
        inside = cv2.distanceTransform((drawing > _FULL // 2).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        near = np.clip(inside / np.float32(rim * self.unit), 0, 1)
        return self.soften(np.sqrt(near * (2 - near)), 0.0)

    def _fixed(self, points: Points) -> NDArray[np.int32]:
        return np.asarray(np.round(self.pixels(points) * 2**_FRACTION_BITS), dtype=np.int32)


def blurred(plane: Plane, sigma: float) -> Plane:
    """Gaussian blur, `sigma` in pixels; wide ones are computed on a coarser grid."""
    coarse = min(int(sigma // 4), plane.shape[0] // 8)
    if coarse < 2:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), dtype=np.float32)
    small = cv2.resize(plane, None, fx=1 / coarse, fy=1 / coarse, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / coarse)
    return np.asarray(cv2.resize(small, plane.shape[::-1], interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def moved(points: Points, x: float, y: float) -> Points:
    """`points` (n, 2) shifted by (x, y)."""
    return np.asarray(points + np.array([x, y]))


def ellipse(centre: tuple[float, float], radii: tuple[float, float]) -> Points:
    """Outline (32, 2) of an upright ellipse."""
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    return np.stack([centre[0] + radii[0] * np.cos(angle), centre[1] + radii[1] * np.sin(angle)], axis=1)


def smooth_path(points: Points, per_edge: int = 8) -> Points:
    """Open Catmull-Rom curve through `points` (n, 2), ends included."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    curve = _catmull_rom(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], per_edge)
    return np.concatenate([curve, points[-1:]])


def smooth_loop(points: Points, per_edge: int = 8) -> Points:
    """Closed Catmull-Rom curve through `points` (n, 2)."""
    before, after, beyond = np.roll(points, 1, 0), np.roll(points, -1, 0), np.roll(points, -2, 0)
    return _catmull_rom(before, points, after, beyond, per_edge)


def _catmull_rom(p0: Points, p1: Points, p2: Points, p3: Points, per_edge: int) -> Points:
    p0, p1, p2, p3 = (p[:, None, :] for p in (p0, p1, p2, p3))
    t = np.linspace(0, 1, per_edge, endpoint=False)[None, :, None]
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    return np.asarray(curve.reshape(-1, 2))


def fractal(size: int, rng: np.random.Generator, octaves: tuple[int, ...] = (4, 8, 16, 32)) -> Plane:
    """Smooth noise with detail at several scales, zero mean, unit variance, (size, size)."""
    total = np.zeros((size, size), dtype=np.float32)
    for number, cells in enumerate(octaves):
        coarse = rng.standard_normal((cells, cells)).astype(np.float32)
        total += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC) * np.float32(0.6**number)
    return np.asarray((total - total.mean()) / total.std(), dtype=np.float32)
