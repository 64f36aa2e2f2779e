"""The honest signal: bilateral, peripheral, basal patches of raised density, as viral pneumonia shows them.

Pattern after the Fleischner-type description of COVID-19 pneumonia on radiographs: ground-glass opacities, both sides,
outer and lower zones first. Some healthy patients get a distractor instead: one central, one-sided density.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.ingest.synthetic.anatomy import Chest, Plane, fractal

Mask = NDArray[np.bool_]

DENSITY = 0.50
"""Attenuation that the densest patch adds at full visibility."""
DISTRACTOR_SHARE = 0.2
"""Share of healthy patients with a one-sided central density."""


def add_opacities(chest: Chest, visibility: float, rng: np.random.Generator) -> tuple[Plane, Mask]:
    """Attenuation with bilateral opacities, and where they are.

    Args:
        chest: the healthy chest.
        visibility: in [0, 1]; 0 leaves the chest as it was.
        rng: draws number, place, size, texture and severity.

    Returns:
        attenuation (size, size) and a mask (size, size): opacity of at least a quarter of the densest place.
    """
    size = chest.lungs.shape[0]
    y, x = np.mgrid[:size, :size] / size
    likely = np.where(chest.lungs > 0.9, np.abs(x - 0.5) ** 1.5 * (0.15 + y) ** 1.5, 0)
    patches = np.zeros_like(chest.lungs)
    for side in (x < 0.5, x >= 0.5):
        for _ in range(rng.integers(2, 5)):
            patches = np.maximum(patches, _patch(likely * side, rng))
    ragged = np.clip(patches * (1 + 0.45 * fractal(size, rng, (8, 16, 32))), 0, None) * chest.lungs
    severity = rng.uniform(0.6, 1.0)
    added = (DENSITY * visibility * severity * ragged / max(float(ragged.max()), 1e-6)).astype(np.float32)
    return chest.attenuation + added, added > 0.25 * added.max() if visibility > 0 else np.zeros(added.shape, bool)


def add_distractor(chest: Chest, visibility: float, rng: np.random.Generator) -> Plane:
    """Attenuation with, in some patients, one central density on one side; says nothing of the disease."""
    if rng.random() >= DISTRACTOR_SHARE:
        return chest.attenuation
    size = chest.lungs.shape[0]
    _y, x = np.mgrid[:size, :size] / size
    side = x < 0.5 if rng.random() < 0.5 else x >= 0.5
    central = np.where(chest.lungs > 0.9, np.exp(-(((np.abs(x - 0.5) - 0.14) / 0.05) ** 2)), 0) * side
    return chest.attenuation + (0.6 * DENSITY * visibility * _patch(central, rng) * chest.lungs).astype(np.float32)


def _patch(likely: NDArray[np.float64], rng: np.random.Generator) -> Plane:
    """One soft blob, its centre drawn with probability proportional to `likely`."""
    size = likely.shape[0]
    weights = likely.ravel() / likely.sum()
    row, column = divmod(int(rng.choice(weights.size, p=weights)), size)
    wide, high = rng.uniform(0.05, 0.11, 2) * size
    y, x = np.mgrid[:size, :size].astype(np.float32)
    blob = np.exp(-(((x - column) / wide) ** 2 + ((y - row) / high) ** 2))
    return np.asarray(rng.uniform(0.6, 1.0) * blob, dtype=np.float32)
