"""A chest in centimetres of tissue and bone along the beam, organ by organ, for one patient in one pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.ingest.synthetic.canvas import (
    Canvas,
    Plane,
    Points,
    Pose,
    ellipse,
    fractal,
    moved,
    smooth_loop,
    smooth_path,
)
from pipeline.ingest.synthetic.skeleton import Cage, bones
from pipeline.ingest.synthetic.vessels import vessels

View = Literal["AP", "PA"]

SOFT_TISSUE = 0.19
"""Linear attenuation of soft tissue, 1/cm, near 70 keV mean energy."""
BONE = 0.30
"""What bone adds to it, 1/cm."""
AIR_DEPTH = 14.0
"""Air along the beam through the middle of a lung, cm."""
_LEVELS = (-1.2, -0.8, -0.4, 0.1, 0.5, 1.3)
_THICKNESS = (11.0, 15.0, 20.0, 21.0, 22.0, 22.5)
"""Depth of the body in cm at heights `_LEVELS`: neck, shoulders, chest, belly."""


@dataclass(frozen=True)
class Body:
    """What differs between patients."""

    cage: Cage
    width: float
    heart: float
    aorta: float
    diaphragm: float
    depth: float
    flank: float
    breast: float
    stomach_gas: float
    arm: float

    @classmethod
    def draw(cls, rng: np.random.Generator, sex: Literal["F", "M"]) -> Body:
        """A random adult."""
        return cls(
            cage=Cage.draw(rng),
            width=rng.uniform(0.92, 1.08),
            heart=rng.uniform(0.86, 1.2),
            aorta=rng.uniform(0.7, 1.3),
            diaphragm=rng.uniform(0.36, 0.52),
            depth=rng.uniform(0.92, 1.12),
            flank=rng.uniform(0.02, 0.14),
            breast=rng.uniform(0.6, 2.8) if sex == "F" else 0.0,
            stomach_gas=rng.uniform(2.0, 7.0) if rng.random() < 0.55 else 0.0,
            arm=rng.uniform(0.0, 0.35),
        )


@dataclass(frozen=True)
class Chest:
    """The beam's path through one chest; planes are (size, size).

    Attributes:
        attenuation: sum over the path, no unit.
        air: cm of aerated lung on the path.
        canvas: maps body coordinates to these pixels.
    """

    attenuation: Plane
    air: Plane
    canvas: Canvas


def build_chest(size: int, body: Body, pose: Pose, view: View, rng: np.random.Generator) -> Chest:
    """The healthy chest of `body` in `pose`; `rng` draws its vessels and texture."""
    canvas = Canvas(size, pose, body.width)
    trunk, arms = _torso(canvas, body), _arms(canvas, body)
    air = _air(canvas, body, pose, view)
    air = np.minimum(air, 0.64 * trunk) * (1 + 0.035 * fractal(size, rng, (24, 48, 96, 192)))
    # Blood in the vessels takes the place of air.
    air = np.clip(air - vessels(canvas, pose, rng) * air / AIR_DEPTH, 0, None)
    tissue = np.maximum(trunk - air - _gas(canvas, body, pose), arms) + _breasts(canvas, body)
    tissue *= 1 + 0.012 * fractal(size, rng)
    attenuation = SOFT_TISSUE * tissue.clip(0, None) + BONE * bones(canvas, body.cage, pose, ap=view == "AP")
    return Chest(attenuation.astype(np.float32), air.astype(np.float32), canvas)


def _torso(canvas: Canvas, body: Body) -> Plane:
    wide = 0.80 + body.flank
    side = [[0.23, -1.6], [0.24, -1.02], [0.34, -0.90], [0.62, -0.80], [0.90, -0.70], [1.02, -0.52]]
    side += [[0.92, -0.34], [wide, -0.15], [wide, 0.2], [wide + 0.02, 0.6], [wide + 0.05, 1.0], [wide + 0.05, 1.6]]
    half = np.array(side)
    outline = smooth_loop(np.concatenate([half, half[::-1] * [-1, 1]]))
    _x, y = canvas.coordinates()
    depth = np.interp(y, _LEVELS, _THICKNESS).astype(np.float32)
    return np.asarray(canvas.soften(canvas.bulge(outline, 0.30), 0.006) * depth * body.depth, dtype=np.float32)


def _arms(canvas: Canvas, body: Body) -> Plane:
    """Upper arms, hanging or held away by `body.arm`."""
    total = np.zeros((canvas.size, canvas.size), dtype=np.float32)
    for side in (-1, 1):
        outer = np.array([[1.00, -0.64], [1.13, -0.40], [1.20 + body.arm, 0.2], [1.24 + 1.5 * body.arm, 0.8]])
        inner = outer[::-1] - [0.22, -0.04]
        outline = smooth_loop(np.concatenate([outer, inner]) * [side, 1])
        total = np.maximum(total, 11.0 * canvas.bulge(outline, 0.11))
    return total


def _breasts(canvas: Canvas, body: Body) -> Plane:
    if not body.breast:
        return np.zeros((canvas.size, canvas.size), dtype=np.float32)
    drawing = canvas.blank()
    for side in (-1, 1):
        canvas.fill(
            drawing,
            smooth_loop(np.array([[0.2, 0.22], [0.5, -0.1], [0.8, 0.1], [0.8, 0.34], [0.52, 0.46]]) * [side, 1]),
        )
    return body.breast * canvas.soften(drawing, 0.04)


def _air(canvas: Canvas, body: Body, pose: Pose, view: View) -> Plane:
    """Air on the path in cm: the lungs, less what the mediastinum and the heart take."""
    lungs = np.zeros((canvas.size, canvas.size), dtype=np.float32)
    below = canvas.blank()
    for side in (-1, 1):
        outline, behind = _lung(body, pose, side)
        lungs = np.maximum(lungs, canvas.bulge(outline, 0.17))
        canvas.fill(below, outline)
        canvas.fill(below, behind)
    lungs = np.maximum(lungs, 0.13 * canvas.soften(below, 0.05))
    heart, middle = _heart(canvas, body, pose, view), _mediastinum(canvas, body, pose)
    return np.asarray(AIR_DEPTH * lungs * (1 - heart) * (1 - middle), dtype=np.float32)


def _lung(body: Body, pose: Pose, side: int) -> tuple[Points, Points]:
    """Outline of a lung above its dome, and of the thin lung behind and below it.

    side -1: the patient's right lung (left of the picture), with the higher dome.
    """
    base = body.diaphragm + pose.breath + (0.0 if side < 0 else 0.045)
    rim = body.cage.rim()
    angle = np.array([0.985 * float(np.interp(base + 0.2, rim[:, 1], rim[:, 0])), base + 0.23])
    wall = np.concatenate([[[0.09, -0.80], [0.17, -0.86], [0.26, -0.82]], rim[rim[:, 1] < base + 0.15], angle[None]])
    dome = np.array([angle, [0.58, base + 0.055], [0.38, base], [0.22, base + 0.01], [0.06, base + 0.08]])
    medial = np.array([[0.05, base - 0.1], [0.05, -0.3], [0.06, -0.65]])
    lung = np.concatenate([smooth_path(wall), smooth_path(dome), medial])
    behind = np.concatenate([dome, [[0.06, base + 0.16], [0.3, base + 0.20], [0.55, base + 0.23]]])
    return lung * [side, 1], behind * [side, 1]


def _heart(canvas: Canvas, body: Body, pose: Pose, view: View) -> Plane:
    """Share of the air in [0, 1] that the heart takes; it is magnified where it lies far from the film (AP)."""
    big = body.heart * (1.08 if view == "AP" else 1.0)
    low = body.diaphragm + pose.breath
    left = [[0.10, -0.22], [0.16, -0.12], [0.23, 0.02], [0.33, 0.20], [0.40, 0.36], [0.40, 0.56]]
    right = [[0.10, 0.60], [-0.08, 0.56], [-0.15, 0.44], [-0.165, 0.28], [-0.14, 0.12], [-0.08, -0.10]]
    outline = moved(np.array(left + right) * [big, 1.0], 0.04 * pose.turn, low - 0.44)
    bulge = canvas.bulge(smooth_loop(outline), 0.20)
    return canvas.soften(np.where(bulge > 0.05, 0.62 + 0.36 * bulge, 0).astype(np.float32), 0.010)


def _mediastinum(canvas: Canvas, body: Body, pose: Pose) -> Plane:
    """Share of the air taken by the great vessels and the gullet: cava, aortic knob, pulmonary trunk."""
    drawing = canvas.blank()
    lean = 0.035 * pose.turn
    knob = 0.10 + 0.05 * body.aorta
    left = [[0.10, -1.1], [0.09, -0.62], [knob, -0.50], [knob + 0.02, -0.42], [knob - 0.03, -0.33], [0.14, -0.22]]
    right = [[0.10, 0.2], [-0.10, 0.2], [-0.12, -0.2], [-0.12, -0.5], [-0.10, -0.75], [-0.11, -1.1]]
    canvas.fill(drawing, smooth_loop(moved(np.array(left + right), lean, 0)))
    low = np.array([[0.10, -0.3], [0.13, 0.2], [0.12, 0.9], [-0.1, 0.9], [-0.09, 0.2], [-0.09, -0.3]])
    canvas.fill(drawing, smooth_loop(low))
    return 0.96 * canvas.soften(drawing, 0.016)


def _gas(canvas: Canvas, body: Body, pose: Pose) -> Plane:
    """Windpipe, main bronchi and, in some, the stomach bubble: cm of air outside the lungs."""
    pipes = canvas.blank()
    lean = [0.02 * pose.turn, 0.0]
    for path in (
        [[0.0, -1.2], [0.005, -0.6], [0.02, -0.25]],
        [[0.02, -0.27], [-0.14, -0.08]],
        [[0.02, -0.27], [0.18, -0.05]],
    ):
        canvas.stroke(pipes, np.array(path) + lean, 0.075 if len(path) == 3 else 0.055)
    gas = 1.8 * canvas.soften(pipes, 0.012)
    if body.stomach_gas:
        top = body.diaphragm + pose.breath + 0.045
        gas += body.stomach_gas * canvas.bulge(ellipse((0.42, top + 0.14), (0.17, 0.075)), 0.07)
    return gas
