"""Fills that continue the surroundings inwards: fast marching, fluid transport, the biharmonic equation."""

from __future__ import annotations

import math
import warnings
from functools import partial

import cv2
import numpy as np
from scipy.sparse.linalg import MatrixRankWarning

from pipeline.fills.contract import Mask, Plane
from pipeline.fills.geometry import regions, window
from pipeline.fills.reduction import enlarged, reduced

RADIUS = 3
"""Neighbourhood of each filled pixel, pixels; OpenCV's customary value."""
BIHARMONIC_MARGIN = 4
"""The biharmonic equation reads two pixels beyond a hole; four keep its boundary off the window's border."""
BIHARMONIC_PIXELS = 4096
"""Largest region solved pixel by pixel; the cost grows faster than the area. Larger ones are solved on a coarser grid,
which the smooth solution does not suffer from."""


def _opencv(plane: Plane, mask: Mask, *, method: int) -> Plane:
    # 16 bits keep the depth of any store; OpenCV's 32-bit variant of Telea leaves [0, 1].
    rows, columns = window(mask, 4 * RADIUS)
    hole = mask[rows, columns]
    deep = np.rint(plane[rows, columns] * 65535).astype(np.uint16)
    deep[hole] = 0  # OpenCV reads a hole where it touches the border: nothing of the mark may be left in it
    painted = cv2.inpaint(deep, hole.astype(np.uint8), RADIUS, method)
    result = plane.copy()
    result[rows, columns] = painted.astype(np.float32) / np.float32(65535)
    return result


telea = partial(_opencv, method=cv2.INPAINT_TELEA)
"""Fast marching inpainting (Telea, J. Graphics Tools 9(1), 2004), at 16 bits."""
navier_stokes = partial(_opencv, method=cv2.INPAINT_NS)
"""Isophotes carried inwards as by a fluid (Bertalmio, Bertozzi and Sapiro, CVPR 2001), at 16 bits."""


def biharmonic(plane: Plane, mask: Mask) -> Plane:
    """Smoothest continuation of values and slopes (Damelin and Hoang, Int. J. Mathematics and Math. Sciences, 2018)."""
    result = plane.copy()
    for region in regions(mask):
        factor = math.ceil(math.sqrt(float(region.sum()) / BIHARMONIC_PIXELS))
        place = window(region, BIHARMONIC_MARGIN * factor)
        known = np.where(mask[place], np.float32(0), plane[place])
        coarse, hole = reduced(known, mask[place], factor)
        if hole.all():  # too little is known for a coarse pixel of it
            result[region] = known[~mask[place]].mean()
        else:
            solved = enlarged(_solved(coarse, hole), factor, known.shape)
            result[place] = np.where(region[place], solved, result[place])
    return result


def _solved(plane: Plane, hole: Mask) -> Plane:
    from skimage.restoration import inpaint_biharmonic  # loads slowly

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MatrixRankWarning)  # with few known pixels many continuations are as smooth
        solved = inpaint_biharmonic(plane.astype(np.float64), hole)
    return np.asarray(np.where(np.isfinite(solved), solved, plane[~hole].mean()), dtype=np.float32)
