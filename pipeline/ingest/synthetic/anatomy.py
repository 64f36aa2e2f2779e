"""A chest in numbers: attenuation along the beam, organ by organ, for one patient in one pose.

Coordinates: x to the right of the picture (the patient's left), y down, both in [-1, 1] for the field of view.
Every organ adds to (or, as air, takes from) the attenuation; `film` turns the sum into grey values.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Plane = NDArray[np.float32]
Points = NDArray[np.float64]

AIR = 0.78
"""Share of the soft tissue's attenuation that inflated lung takes away."""


@dataclass(frozen=True)
class Body:
    """What differs between patients."""

    width: float
    heart: float
    diaphragm: float
    apex: float
    rib_slope: float
    spine_shift: float
    fat: float
    gas: bool

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Body:
        """A random adult."""
        return cls(
            width=rng.uniform(0.84, 1.0),
            heart=rng.uniform(0.85, 1.25),
            diaphragm=rng.uniform(0.42, 0.62),
            apex=rng.uniform(-0.80, -0.70),
            rib_slope=rng.uniform(0.75, 1.25),
            spine_shift=rng.uniform(-0.03, 0.03),
            fat=rng.uniform(0.8, 1.2),
            gas=bool(rng.random() < 0.6),
        )


@dataclass(frozen=True)
class Pose:
    """How the patient stood, or lay, before the detector."""

    angle: float
    shift: tuple[float, float]
    scale: float
    breath: float
    """Inspiration: moves the diaphragm down."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Pose:
        """A random, roughly centred pose."""
        shift = (float(rng.uniform(-0.05, 0.05)), float(rng.uniform(-0.04, 0.04)))
        return cls(float(rng.uniform(-4, 4)), shift, float(rng.uniform(1.04, 1.22)), float(rng.uniform(-0.06, 0.06)))


@dataclass(frozen=True)
class Chest:
    """Attenuation (size, size) and the lung fields, float in [0, 1], in the same pixels."""

    attenuation: Plane
    lungs: Plane


class Canvas:
    """Draws soft-edged shapes given in body coordinates, under a pose."""

    def __init__(self, size: int, pose: Pose, width: float) -> None:
        self.size = size
        cos, sin = np.cos(np.radians(pose.angle)), np.sin(np.radians(pose.angle))
        self._turn = pose.scale * np.array([[cos * width, -sin], [sin * width, cos]])
        self._shift = np.array(pose.shift)

    def pixels(self, points: Points) -> Points:
        """Body coordinates (n, 2) -> pixel coordinates (n, 2)."""
        return np.asarray(((points @ self._turn.T + self._shift) + 1) * (self.size / 2))

    def blank(self) -> Plane:
        """An empty plane."""
        return np.zeros((self.size, self.size), dtype=np.float32)

    def soften(self, plane: Plane, softness: float) -> Plane:
        """Blur by `softness` body units."""
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(softness * self.size / 2, 0.3)), dtype=np.float32)

    def area(self, outline: Points, softness: float) -> Plane:
        """Filled closed curve through `outline` (n, 2), 1 inside."""
        plane = self.blank()
        self.cut(plane, smooth_loop(outline), 1.0)
        return self.soften(plane, softness)

    def cut(self, plane: Plane, outline: Points, value: float) -> None:
        """Set the inside of closed `outline` (n, 2) of `plane` to `value`."""
        cv2.fillPoly(plane, [np.round(self.pixels(outline) * 16).astype(np.int32)], value, cv2.LINE_AA, 4)

    def stroke(self, plane: Plane, path: Points, width: float, value: float) -> None:
        """Draw `path` (n, 2) into `plane`, `width` in body units."""
        fixed = np.round(self.pixels(path) * 16).astype(np.int32)
        cv2.polylines(plane, [fixed], False, value, max(1, round(width * self.size / 2)), cv2.LINE_AA, 4)

    def disc(self, centre: tuple[float, float], radii: tuple[float, float], softness: float) -> Plane:
        """Filled ellipse, 1 inside."""
        angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        outline = np.stack([centre[0] + radii[0] * np.cos(angle), centre[1] + radii[1] * np.sin(angle)], axis=1)
        return self.area(outline, softness)


def smooth_loop(points: Points, per_edge: int = 8) -> Points:
    """Closed Catmull-Rom curve through `points`."""
    before, after, beyond = np.roll(points, 1, 0), np.roll(points, -1, 0), np.roll(points, -2, 0)
    t = np.linspace(0, 1, per_edge, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (p[:, None, :] for p in (before, points, after, beyond))
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    return np.asarray(curve.reshape(-1, 2))


def fractal(size: int, rng: np.random.Generator, octaves: tuple[int, ...] = (4, 8, 16, 32)) -> Plane:
    """Smooth noise with detail at several scales, zero mean, unit variance, (size, size)."""
    total = np.zeros((size, size), dtype=np.float32)
    for number, cells in enumerate(octaves):
        coarse = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
        total += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC) * 0.6**number
    return np.asarray((total - total.mean()) / total.std(), dtype=np.float32)


def build_chest(size: int, body: Body, pose: Pose, rng: np.random.Generator) -> Chest:
    """The healthy chest of `body` in `pose`; `rng` draws its vessels and texture."""
    canvas = Canvas(size, pose, body.width)
    right, left = _lung(canvas, body, pose, -1), _lung(canvas, body, pose, +1)
    lungs = np.maximum(right, left)
    tissue = _torso(canvas, body)
    inside = tissue * (1 - AIR * lungs)
    soft = 0.27 * _heart(canvas, body) + 0.17 * _mediastinum(canvas, body)
    bones = 0.20 * _ribs(canvas, body) + 0.20 * _spine(canvas, body) + 0.20 * _shoulders(canvas, body)
    attenuation = inside + soft + bones * tissue.clip(0.3, 1) + 0.11 * _vessels(canvas, rng) * lungs
    if body.gas:
        attenuation -= 0.22 * canvas.disc((0.38, body.diaphragm + 0.26), (0.16, 0.08), 0.02)
    attenuation += 0.012 * fractal(size, rng) * tissue + 0.010 * fractal(size, rng, (32, 64, 128)) * lungs
    return Chest(attenuation.clip(0, None).astype(np.float32), lungs.clip(0, 1))


def _torso(canvas: Canvas, body: Body) -> Plane:
    side = np.array(
        [[0.22, -1.3], [0.26, -0.92], [0.62, -0.84], [1.02, -0.74], [1.2, -0.4], [1.02, 0.2], [1.0, 0.7], [1.04, 1.4]]
    )
    outline = np.concatenate([side, side[::-1] * [-1, 1]])
    shape = canvas.area(outline, 0.03)
    thick = canvas.soften(shape, 0.25)  # thinner towards the skin
    below = canvas.area(np.array([[-1.2, body.diaphragm], [1.2, body.diaphragm], [1.2, 1.6], [-1.2, 1.6]]), 0.15)
    return np.asarray(shape * (0.35 + 0.5 * thick * body.fat) + 0.22 * below * shape, dtype=np.float32)


def _lung(canvas: Canvas, body: Body, pose: Pose, side: int) -> Plane:
    """side -1: the patient's right lung (left of the picture), the larger one with the higher dome."""
    base = body.diaphragm + pose.breath + (0.0 if side < 0 else 0.05)
    notch = 0.15 if side < 0 else 0.15 + 0.20 * body.heart
    lateral = [[0.34, body.apex], [0.55, body.apex + 0.16], [0.70, -0.28], [0.77, 0.05], [0.78, base - 0.05]]
    dome = [[0.76, base + 0.13], [0.62, base + 0.02], [0.42, base - 0.07], [notch + 0.06, base - 0.02]]
    medial = [[notch, base - 0.16], [0.16, -0.05], [0.15, -0.35], [0.20, body.apex + 0.10]]
    outline = np.array(lateral + dome + medial)
    return canvas.area(outline * [side, 1], 0.012)


def _heart(canvas: Canvas, body: Body) -> Plane:
    low = body.diaphragm
    left = canvas.disc((0.14, low - 0.20), (0.29 * body.heart, 0.27), 0.025)
    right = canvas.disc((-0.08, low - 0.16), (0.15 * body.heart, 0.20), 0.025)
    return np.maximum(left, right)


def _mediastinum(canvas: Canvas, body: Body) -> Plane:
    middle = np.array([body.spine_shift, 0.0])
    outline = np.array(
        [[-0.12, -1.1], [0.12, -1.1], [0.13, -0.5], [0.16, 0.0], [0.15, 0.7], [-0.12, 0.7], [-0.12, 0.0], [-0.13, -0.5]]
    )
    band = canvas.area(outline + middle, 0.03)
    knob = canvas.disc((0.13 + body.spine_shift, -0.36), (0.09, 0.10), 0.02)
    pipe = np.array([[-0.045, -1.1], [0.025, -1.1], [0.02, -0.3], [-0.04, -0.3]])
    windpipe = canvas.area(pipe + middle, 0.01)
    return np.asarray(np.maximum(band, knob) - 0.45 * windpipe, dtype=np.float32)


def _ribs(canvas: Canvas, body: Body) -> Plane:
    """Posterior ribs, strong and nearly level, and anterior ribs, faint and steep."""
    plane = canvas.blank()
    t = np.linspace(0, 1, 24)
    for number in range(10):
        top = -0.78 + 0.135 * number
        reach = 0.80 * np.sqrt(np.clip(1 - ((top - 0.15) / 1.15) ** 2, 0.2, 1))
        for side in (-1, 1):
            x = side * (0.07 + (reach - 0.07) * t)
            back = np.stack([x, top - 0.05 * np.sin(np.pi * t * 0.8) + body.rib_slope * 0.16 * t**2], axis=1)
            _bone(canvas, plane, back, 0.040, 0.75)
            if 0 < number < 7:
                x = side * (reach - (reach - 0.30) * t)
                front = np.stack([x, top + 0.12 + body.rib_slope * (0.30 * t**1.3 - 0.03 * np.sin(np.pi * t))], axis=1)
                _bone(canvas, plane, front, 0.036, 0.38)
    return canvas.soften(plane, 0.004)


def _bone(canvas: Canvas, plane: Plane, path: Points, width: float, value: float) -> None:
    """Dense cortex around a less dense core, added to what is there: crossing bones are brighter."""
    shaft = canvas.blank()
    canvas.stroke(shaft, path, width, value)
    canvas.stroke(shaft, path, width * 0.5, value * 0.62)
    plane += shaft


def _spine(canvas: Canvas, body: Body) -> Plane:
    """Vertebral bodies with discs between them, and the spinous processes behind."""
    plane = canvas.blank()
    half = np.array([[0.074, 0.0], [0.066, 0.05], [0.074, 0.105]])
    shape = np.concatenate([half, half[::-1] * [-1, 1]])
    process = np.array([[0.0, 0.04], [0.016, 0.09], [0.0, 0.13], [-0.016, 0.09]])
    for number in range(17):
        place = [body.spine_shift, -1.1 + 0.13 * number]
        canvas.cut(plane, shape + place, 0.8)
        canvas.cut(plane, process + place, 1.3)
    return canvas.soften(plane, 0.009)


def _shoulders(canvas: Canvas, body: Body) -> Plane:
    plane = canvas.blank()
    t = np.linspace(0, 1, 20)
    for side in (-1, 1):
        clavicle = np.stack([side * (0.08 + 0.66 * t), -0.60 - 0.16 * t + 0.05 * np.sin(2 * np.pi * t)], axis=1)
        _bone(canvas, plane, clavicle, 0.055, 0.8)
        blade = np.array([[0.80, -0.66], [0.90, -0.30], [0.76, 0.02], [0.70, -0.30]]) * [side, 1]
        plane += 0.30 * canvas.area(blade, 0.015)
        plane += 0.9 * canvas.disc((side * 0.98, -0.66), (0.13, 0.12), 0.02)
    return canvas.soften(plane, 0.004)


def _vessels(canvas: Canvas, rng: np.random.Generator) -> Plane:
    """Branching from both hila, thinner towards the periphery."""
    plane = canvas.blank()
    for side in (-1, 1):
        hilum = np.array([side * 0.19, -0.06 if side < 0 else -0.10])
        plane += 0.9 * canvas.disc((float(hilum[0]), float(hilum[1])), (0.06, 0.11), 0.03)
        for angle in np.linspace(-1.35, 1.35, 9):
            _branch(canvas, plane, hilum, np.arctan2(np.sin(angle), side * np.cos(angle)), 0.16, 0.026, 4, rng)
    return canvas.soften(plane, 0.004)


def _branch(
    canvas: Canvas,
    plane: Plane,
    start: Points,
    angle: float,
    length: float,
    width: float,
    depth: int,
    rng: np.random.Generator,
) -> None:
    bend = angle + rng.normal(0, 0.18)
    middle = start + 0.5 * length * np.array([np.cos(angle), np.sin(angle)])
    end = middle + 0.5 * length * np.array([np.cos(bend), np.sin(bend)])
    canvas.stroke(plane, np.stack([start, middle, end]), width, 0.35 + 0.12 * depth)
    if depth > 1:
        for turn in (-1, 1):
            next_angle = bend + turn * rng.uniform(0.2, 0.55)
            _branch(canvas, plane, end, next_angle, length * rng.uniform(0.65, 0.9), width * 0.68, depth - 1, rng)


def film(attenuation: Plane, rng: np.random.Generator, *, exposure: float, contrast: float, noise: float) -> Plane:
    """Grey values in [0, 1] as a display shows them: scatter, detector curve, quantum noise, detector blur.

    Args:
        attenuation: sum along the beam.
        rng: draws the noise.
        exposure: shifts the curve; larger = darker.
        contrast: slope of the curve.
        noise: standard deviation at full attenuation; less where more quanta arrive.
    """
    size = attenuation.shape[0]
    scattered = 0.86 * attenuation + 0.14 * gaussian_filter(attenuation, size * 0.06)
    grey = 1 / (1 + np.exp(-contrast * (scattered - exposure)))
    quanta = rng.standard_normal(attenuation.shape).astype(np.float32)
    grain = cv2.GaussianBlur(quanta, (0, 0), 0.7) * noise * (0.35 + 0.65 * grey)
    return np.asarray(np.clip(grey + grain, 0, 1), dtype=np.float32)
