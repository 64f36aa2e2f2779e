"""From attenuation to grey values: scatter, quanta, detector, tone curve, shutters."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.special import expit

from pipeline.ingest.synthetic.canvas import Plane, blurred

_REFERENCE_SIZE = 384
_BODY = 0.6
"""Attenuation from which a pixel counts as body when the exposure is ranged."""


@dataclass(frozen=True)
class Unit:
    """How one hospital's x-ray unit exposes and processes; pairs are (low, high) of a uniform draw."""

    quanta: tuple[float, float]
    """Per pixel of a 384-pixel image, before the patient."""
    scatter: float
    """Scattered radiation as a share of the blurred primary beam."""
    contrast: tuple[float, float]
    brightness: tuple[float, float]
    sharpening: tuple[float, float]
    shutters: float
    """Share of images with black collimation borders."""


UNIT_A = Unit((12_000, 30_000), 0.10, (3.0, 4.4), (-0.08, 0.08), (0.2, 0.7), 0.2)
UNIT_B = Unit((4_000, 9_000), 0.17, (2.4, 3.6), (-0.04, 0.14), (0.0, 0.3), 0.35)


def expose(attenuation: Plane, unit: Unit, rng: np.random.Generator) -> Plane:
    """Grey values in [0, 1], bright = dense, as a display shows them.

    Args:
        attenuation: sum along the beam, (size, size).
        unit: the x-ray unit.
        rng: draws exposure, noise, processing and shutters.
    """
    size = attenuation.shape[0]
    primary = np.exp(-attenuation)
    arriving = primary + unit.scatter * blurred(primary, 0.07 * size)
    quanta = rng.uniform(*unit.quanta) * (_REFERENCE_SIZE / size) ** 2
    noise = rng.standard_normal(arriving.shape, dtype=np.float32) * np.sqrt(arriving / np.float32(quanta))
    signal = -np.log(np.clip(cv2.GaussianBlur(arriving + noise, (0, 0), 0.6), 1e-4, None))
    grey = _tone(signal, rng.uniform(*unit.contrast), rng.uniform(*unit.brightness))
    grey += np.float32(rng.uniform(*unit.sharpening)) * (grey - blurred(grey, 0.012 * size))
    if rng.random() < unit.shutters:
        grey *= _opening(size, rng)
    return np.asarray(np.clip(grey, 0, 1), dtype=np.float32)


def _tone(signal: Plane, contrast: float, brightness: float) -> Plane:
    """Range the signal over the body, as a unit does by its histogram, then apply an S-shaped curve."""
    sample = signal[::4, ::4]
    dark, bright = np.percentile(sample[sample > _BODY], (3, 96))
    ranged = (signal - dark) / (bright - dark)
    low, high = expit(-0.85 * contrast), expit(0.72 * contrast)
    curve = (expit(contrast * (ranged - 0.36 + brightness)) - low) / (high - low)
    return np.asarray(0.97 * curve, dtype=np.float32)


def _opening(size: int, rng: np.random.Generator) -> Plane:
    """1 where the beam passes, 0 under the shutters, which may stand slightly askew."""
    drawing = np.zeros((size, size), dtype=np.uint8)
    left, top, right, bottom = rng.uniform(0, 0.05, 4) * (rng.random(4) < 0.7) * size
    corners = np.array([[left, top], [size - right, top], [size - right, size - bottom], [left, size - bottom]])
    corners += (corners > 0) * (corners < size) * rng.normal(0, 0.004 * size, (4, 2))
    cv2.fillPoly(drawing, [np.round(corners * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(drawing, (0, 0), 0.8), dtype=np.float32) / np.float32(255)
