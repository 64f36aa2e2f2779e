"""Where on the picture a region stands, and which finding it belongs to: for regions found, and for those drawn."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.types import PRINTED_KINDS

_ROWS = np.array(["top", "middle", "bottom"], dtype=object)
_COLUMNS = np.array(["left", "center", "right"], dtype=object)


def places(
    x0: ArrayLike, y0: ArrayLike, x1: ArrayLike, y1: ArrayLike, width: ArrayLike, height: ArrayLike
) -> NDArray[np.object_]:
    """The ninth of the picture that holds the centre of each box, ``{top,middle,bottom}-{left,center,right}``.

    Args:
        x0: left edges (n,), original pixels; `y0`, `x1` and `y1` likewise.
        y0: top edges.
        x1: right edges.
        y1: bottom edges.
        width: of the images (n,) or of all, original pixels.
        height: likewise.

    Returns:
        (n,) of str.
    """
    across = _third((np.asarray(x0, float) + np.asarray(x1, float)) / 2 / np.asarray(width, float))
    down = _third((np.asarray(y0, float) + np.asarray(y1, float)) / 2 / np.asarray(height, float))
    named: NDArray[np.object_] = _ROWS[down] + "-" + _COLUMNS[across]
    return named


def _third(share: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.clip(np.floor(np.atleast_1d(share) * 3), 0, 2).astype(np.int64)


def first_finding(findings: Iterable[tuple[str, str, str | None]], kind: str, text: str | None) -> str | None:
    """Id of the first finding that names regions of this kind and text.

    Args:
        findings: (id, kind, text) by rank. Kind `mark` names every printed kind, text null every text.
        kind: the region's.
        text: the region's.
    """
    for finding, its_kind, its_text in findings:
        pooled = its_kind == "mark" and kind in PRINTED_KINDS
        if (its_kind == kind or pooled) and its_text in (None, text):
            return finding
    return None
