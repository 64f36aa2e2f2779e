"""The honest signal: bilateral, peripheral, basal patches of raised density, as viral pneumonia shows them.

Pattern after radiographic descriptions of COVID-19 pneumonia (Wong et al., Radiology 2020, 296:E72): ground-glass
opacities on both sides, outer and lower zones first. Some healthy patients get a distractor instead: one density on one
side, near the hilum or in the upper zone.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from pipeline.ingest.synthetic.anatomy import AIR_DEPTH, SOFT_TISSUE, Chest
from pipeline.ingest.synthetic.canvas import Plane, fractal

Mask = NDArray[np.bool_]

FILLED = 0.70
"""Share of the lung's air that fluid takes in the densest place at full visibility and severity."""
DISTRACTOR_SHARE = 0.2
"""Share of healthy patients with a one-sided density."""
_STEP = 4
"""Patches are smooth: they are computed on every fourth pixel."""


def add_opacities(chest: Chest, visibility: float, rng: np.random.Generator) -> tuple[Plane, Mask]:
    """Attenuation with bilateral opacities, and where they are.

    Args:
        chest: the healthy chest.
        visibility: in [0, 1]; 0 leaves the chest as it was.
        rng: draws number, place, size, texture and severity.

    Returns:
        attenuation (size, size) and a mask (size, size): opacity of at least a quarter of the densest place.
    """
    x, y, lung = _coarse(chest)
    likely: Plane = (lung > 0.45) * np.abs(x) ** 2.5 * (0.04 + expit((y - 0.08) / 0.09))
    spread = rng.uniform(0.75, 1.25)
    patches = np.zeros_like(lung)
    for side in (x < 0, x >= 0):
        here = np.where(side, likely, 0)
        for _ in range(rng.integers(2, 6)):
            patches = np.maximum(patches, _patch(here, x, y, spread * rng.uniform(0.09, 0.20), rng))
    texture = fractal(len(patches), rng, (8, 16, 32, 64))
    ragged = np.clip(patches * (0.9 + 0.5 * texture), 0, 1)
    added = _fill(chest, ragged, visibility * rng.uniform(0.55, 1.0))
    return chest.attenuation + added, added > 0.25 * added.max() if visibility > 0 else np.zeros(added.shape, bool)


def add_distractor(chest: Chest, visibility: float, rng: np.random.Generator) -> Plane:
    """Attenuation with, in some patients, one density on one side; says nothing of the disease."""
    if rng.random() >= DISTRACTOR_SHARE:
        return chest.attenuation
    x, y, lung = _coarse(chest)
    side = -1 if rng.random() < 0.5 else 1
    middle = (0.30, 0.05) if rng.random() < 0.5 else (0.36, -0.42)
    near = np.exp(-(((side * x - middle[0]) ** 2 + (y - middle[1]) ** 2) / 0.10**2))
    patch = _patch(np.where(lung > 0.45, near, 0), x, y, rng.uniform(0.10, 0.18), rng)
    ragged = np.clip(patch * (1 + 0.35 * fractal(len(patch), rng, (8, 16, 32))), 0, 1)
    return chest.attenuation + _fill(chest, ragged, visibility * rng.uniform(0.5, 0.9))


def _coarse(chest: Chest) -> tuple[Plane, Plane, Plane]:
    """Body x, body y and aeration in [0, 1] on every fourth pixel."""
    x, y = chest.canvas.coordinates(_STEP)
    air = cv2.resize(chest.air, x.shape[::-1], interpolation=cv2.INTER_AREA)
    return x, y, np.asarray(air / AIR_DEPTH, dtype=np.float32)


def _patch(likely: Plane, x: Plane, y: Plane, radius: float, rng: np.random.Generator) -> Plane:
    """One soft blob, its centre drawn with probability proportional to `likely`, `radius` in body units."""
    weights = likely.ravel().astype(np.float64)
    place = int(rng.choice(weights.size, p=weights / weights.sum()))
    wide, high = radius * rng.uniform(0.7, 1.2, 2)
    distance = ((x - x.flat[place]) / wide) ** 2 + ((y - y.flat[place]) / high) ** 2
    return np.asarray(rng.uniform(0.6, 1.0) * np.exp(-(distance**1.4)), dtype=np.float32)


def _fill(chest: Chest, share: Plane, strength: float) -> Plane:
    """Attenuation that fluid adds where it takes `share` (coarse) of the air."""
    fine = cv2.resize(share, chest.air.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(SOFT_TISSUE * FILLED * strength * fine * chest.air, dtype=np.float32)
