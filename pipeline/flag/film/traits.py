"""Traits of the image as a whole: exposure, contrast, sharpness, resolution, compression, noise, histogram.

Each is measured on the picture alone: borders are left out, and the caller hands over no letterbox padding. They are
measured at the scale of the image given. A pixel store resamples, which lowers `resolution` and `noise` of large files,
fills the gaps of a stretched histogram (`levels`, `comb`), and keeps the grid of a JPEG only where the scale is near 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.flag.detect import MIN_SIDE, as_grey8
from pipeline.flag.film.borders import find_borders
from pipeline.flag.film.corners import inside_borders
from pipeline.flag.found import Grey8
from pipeline.flag.steepness import steepness

TRAITS: dict[str, str] = {
    "exposure": "mean grey value, in [0, 1]",
    "median": "median grey value, in [0, 1]",
    "black": "share of pixels at black (up to 2 of 255), in [0, 1]",
    "white": "share of pixels at white (from 253 of 255), in [0, 1]",
    "contrast": "95th minus 5th percentile of the grey values, in [0, 1]",
    "sharpness": "mean gradient of the image smoothed by 1 pixel over that of the image smoothed by 4; above 0",
    "resolution": "share of the band below which 95 % of the gradient energy above the noise lies, in (0, 1]",
    "compression": "strength of a grid of 8 pixels, as a JPEG leaves, over other periods; about 1 without a grid",
    "noise": "standard deviation of the noise, from diagonal wavelet coefficients, in [0, 1]",
    "entropy": "of the histogram of 256 grey levels, bits, in [0, 8]",
    "levels": "share of the grey levels between the 0.5th and 99.5th percentile that occur, in (0, 1]",
    "comb": "roughness of the histogram: mean deviation of a count from its neighbours' mean, over the mean count",
    "skewness": "third standardised moment of the grey values",
    "seam": "how much darker (below 0) or brighter the outermost rows are than the third ones, as a log ratio",
    "aspect": "width over height, borders included, above 0",
}
"""Trait -> what it says and its range. NaN where it cannot be measured (a picture under 32 pixels, a flat image)."""

BLACK, WHITE = 2 / 255, 253 / 255
FINE, COARSE = 1.0, 4.0
"""Gaussians, pixels, between whose gradients sharpness is the ratio: a ratio has no contrast and no exposure in it."""
KEPT = 0.8
"""Share of the wavelet coefficients, smallest first, from which the noise is taken."""
HALF_NORMAL = 0.5586
"""Mean of the smallest `KEPT` of |z|, z standard normal: 2.5·(φ(0) − φ(1.2816))."""
ENCLOSED = 0.95
"""Share of the gradient energy below the resolution."""
SPECTRUM = 512
"""Largest side of the central square whose spectrum is taken, pixels."""
RINGS = 64
GRID = 8
"""Period of the blocks of a JPEG, pixels (ITU-T T.81, A.3.1)."""
CLIP = 6 / 255
"""Differences of neighbours are cut off here: an edge of anatomy or print must not count as a block's."""

Plane = NDArray[np.float32]


def measure_traits(image: NDArray[Any]) -> dict[str, float]:
    """All of `TRAITS` of one image.

    Args:
        image: (H, W) float in [0, 1], or full-range uint8 or uint16; bright = dense. Without letterbox padding.
    """
    grey = as_grey8(image)
    height, width = grey.shape
    values = dict.fromkeys(TRAITS, float("nan")) | {"aspect": width / height}
    if min(grey.shape) < MIN_SIDE:
        return values
    inner = inside_borders(grey.shape, [each.box for each in find_borders(grey, [])])
    window = np.s_[int(inner.y0) : int(inner.y1), int(inner.x0) : int(inner.x1)]
    picture = grey[window]
    if min(picture.shape) < MIN_SIDE:
        return values
    return values | measure_picture(picture)


def measure_picture(picture: Grey8) -> dict[str, float]:
    """All of `TRAITS` but `aspect` of a picture without borders, (H, W), at least `MIN_SIDE` a side."""
    tones = histogram_traits(np.bincount(picture.ravel(), minlength=256).astype(np.float64))
    plane = picture.astype(np.float32) / np.float32(255)
    return {
        **tones,
        "sharpness": sharpness(plane),
        "resolution": resolution(plane),
        "compression": block_grid(plane),
        "noise": noise(picture),
        "seam": _seam(plane),
    }


def histogram_traits(counts: NDArray[np.float64]) -> dict[str, float]:
    """What the number of pixels at each of the 256 grey levels says."""
    share, level = counts / counts.sum(), np.arange(256) / 255
    mean = float(share @ level)
    deviation = float(np.sqrt(share @ (level - mean) ** 2))
    lowest, low, middle, high, highest = np.searchsorted(share.cumsum(), (0.005, 0.05, 0.5, 0.95, 0.995)).tolist()
    used = share[lowest : highest + 1]
    uneven = np.abs(used[1:-1] - (used[:-2] + used[2:]) / 2)
    seen = share[share > 0]
    return {
        "exposure": mean,
        "median": middle / 255,
        "black": float(share[level <= BLACK].sum()),
        "white": float(share[level >= WHITE].sum()),
        "contrast": (high - low) / 255,
        "skewness": float(share @ (level - mean) ** 3) / deviation**3 if deviation > 0 else float("nan"),
        "entropy": max(float(-(seen @ np.log2(seen))), 0.0),
        "levels": float((used > 0).mean()),
        "comb": float(uneven.mean() / used.mean()) if len(uneven) else float("nan"),
    }


def sharpness(plane: Plane) -> float:
    """The trait of that name; NaN for a flat picture. `plane`: (H, W) in [0, 1]."""
    coarse = _gradient(plane, COARSE)
    return _gradient(plane, FINE) / coarse if coarse > 0 else float("nan")


def _gradient(plane: Plane, sigma: float) -> float:
    smooth = cv2.GaussianBlur(plane, (0, 0), sigma)
    return float(steepness(np.diff(smooth, axis=1)[:-1], np.diff(smooth, axis=0)[:, :-1]).mean())


def noise(picture: Grey8) -> float:
    """From the smallest 80 % of the absolute diagonal Haar coefficients; edges and texture are in the rest.

    After D. L. Donoho and I. M. Johnstone, Biometrika 81, 1994, with a trimmed mean in place of the median, which
    eight bits would quantise. Pixels at black or white carry no noise and are left out.
    """
    deep = picture.astype(np.int16)
    twice = np.abs(deep[:-1, :-1] - deep[:-1, 1:] - deep[1:, :-1] + deep[1:, 1:])
    counts = np.bincount(twice[(deep[:-1, :-1] > 2) & (deep[:-1, :-1] < 253)], minlength=2)
    kept = KEPT * counts.sum()
    if not kept:
        return float("nan")
    smallest = np.diff(np.minimum(counts.cumsum(), kept), prepend=0)
    return float(smallest @ np.arange(len(counts)) / kept) / 2 / HALF_NORMAL / 255


def resolution(plane: Plane) -> float:
    """Frequency, in shares of the Nyquist frequency, that encloses `ENCLOSED` of f²·(power − noise).

    The noise is the power of the quietest ring: detail, blur and resampling all leave less power at higher frequencies.
    """
    side = min(*plane.shape, SPECTRUM)
    top, left = (plane.shape[0] - side) // 2, (plane.shape[1] - side) // 2
    square = plane[top : top + side, left : left + side]
    taper = np.hanning(side).astype(np.float32)
    power = np.abs(np.fft.rfft2((square - square.mean()) * taper[:, None] * taper)) ** 2
    down, across = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    radius = 2 * np.hypot(down, across)
    ring = np.minimum((radius * RINGS).astype(np.int64), RINGS)  # the last one holds the corners, beyond Nyquist
    counts = np.maximum(np.bincount(ring.ravel(), minlength=RINGS + 1)[:RINGS], 1)
    mean = np.bincount(ring.ravel(), power.ravel(), minlength=RINGS + 1)[:RINGS] / counts
    frequency = (np.arange(RINGS) + 0.5) / RINGS
    energy = frequency**3 * np.maximum(mean - mean[RINGS // 4 :].min(), 0)
    if energy.sum() <= 0:
        return float("nan")
    return float(np.interp(ENCLOSED, np.cumsum(energy) / energy.sum(), frequency + 0.5 / RINGS))


def block_grid(plane: Plane) -> float:
    """Strength of the odd harmonics of `GRID` in the mean step between neighbouring columns and rows.

    Over the median strength of all frequencies from 1 / `GRID` on.

    After Z. Wang, H. R. Sheikh, A. C. Bovik, ICIP 2002 (power of the blocking signal); wherever the grid starts.
    """
    return float(np.mean([_harmonics(each) for each in _step_profiles(plane)]))


def _step_profiles(plane: Plane) -> Iterator[Plane]:
    for view in (plane, plane.T):
        steps = np.minimum(np.abs(np.diff(view, axis=1)), CLIP).mean(axis=0)
        padded = np.pad(steps, GRID // 2, mode="reflect")
        smooth = np.convolve(padded, np.full(GRID + 1, 1 / (GRID + 1)), mode="valid")
        profile = steps - smooth
        yield profile[: len(profile) // GRID * GRID]


def _harmonics(profile: Plane) -> float:
    """Odd harmonics alone: enlarging an image by 2 or 4 makes the even ones."""
    spectrum = np.abs(np.fft.rfft(profile))
    step = len(profile) // GRID
    middle = float(np.median(spectrum[step:]))
    return float(spectrum[[step, 3 * step]].mean()) / middle if middle > 0 else 1.0


def _seam(plane: Plane) -> float:
    """Median log ratio of the outermost to the third row, of the side where it is largest."""
    sides = [(view[0], view[2]) for view in (plane, plane[::-1], plane.T, plane.T[::-1])]
    ratios = [float(np.median(np.log((first + 0.02) / (third + 0.02)))) for first, third in sides]
    return max(ratios, key=abs)
