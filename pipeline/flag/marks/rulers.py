"""Tick rulers beside the picture and rows of dashes: the printed things that are straight and repeat themselves.

A ruler is a thin straight line, bright or dark, level or upright, with ticks at one pitch. Dashes are three or more
short bright bars of one size at one pitch, side by side: overlays print them where a value is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.flag.found import Found, Grey8
from pipeline.types import PRINTED_KINDS, Box

SIDE = 768
"""Longer side at which rulers are sought, pixels; lengths below are in these pixels."""
THIN = 5
"""Lines and dashes are thinner than this."""
INK = 24
"""Grey levels above the ground from which a line is ink."""
HEIGHTS = (30, 70)
"""The same for dashes, which run together when cut too low."""
LENGTH = 70
"""Shortest ruler."""
TICKS = 14
"""Rows on either side of the line in which its ticks end."""
PITCHES = range(3, 80)
FEWEST = 6
"""Ticks a ruler has at least."""
REGULAR = 0.6
"""Autocorrelation of the ticks at their pitch from which they repeat."""
DASH = (3, 16)
"""Length of a dash, from-to."""
FLAT = 3
"""Thickest dash."""
SURE = 0.9

Corners = tuple[int, int, int, int]
Plane = NDArray[np.float32]


def find_rulers(image: Grey8, taken: Sequence[Found]) -> list[Found]:
    """Rulers and rows of dashes that no earlier detector has found."""
    scale = min(1.0, SIDE / max(image.shape))
    small = image if scale == 1.0 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    grey: Grey8 = np.asarray(small, dtype=np.uint8)
    corners = [("ruler/ticks", ruler) for view in (grey, 255 - grey) for ruler in _level_and_upright(view)]
    corners += [("ruler/dashes", row) for height in HEIGHTS for row in _dashes(grey, height)]
    printed = [each for each in taken if each.kind in PRINTED_KINDS]
    found: list[Found] = []
    for method, place in corners:
        box = Box(*(value / scale for value in place))
        if all(box.intersection(other.box) <= 0.5 * box.area for other in (*printed, *found)):
            found.append(Found("ruler", box, SURE, method))
    return found


def _level_and_upright(grey: Grey8) -> Iterator[Corners]:
    yield from _joined(list(_rulers(grey)))
    for x0, y0, x1, y1 in _joined(list(_rulers(np.ascontiguousarray(grey.T)))):
        yield y0, x0, y1, x1


def _joined(pieces: list[Corners]) -> list[Corners]:
    """Pieces of one level ruler, cut where the ground hides it, as one."""
    whole: list[Corners] = []
    for piece in sorted(pieces):
        last = whole[-1] if whole else None
        if last is not None and abs(piece[1] - last[1]) <= TICKS and abs(piece[3] - last[3]) <= TICKS:
            whole[-1] = (last[0], min(last[1], piece[1]), max(last[2], piece[2]), max(last[3], piece[3]))
        else:
            whole.append(piece)
    return whole


def _thin(grey: Grey8) -> Grey8:
    """What is brighter than its ground and fewer than `THIN` rows high."""
    return np.asarray(cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, np.ones((THIN, 1), np.uint8)), dtype=np.uint8)


def _rulers(grey: Grey8) -> Iterator[Corners]:
    ink = np.asarray(_thin(grey) > INK, dtype=np.uint8)
    whole = cv2.morphologyEx(ink, cv2.MORPH_CLOSE, np.ones((1, THIN), np.uint8))  # a tick hides the line at its foot
    lines = cv2.morphologyEx(whole, cv2.MORPH_OPEN, np.ones((1, LENGTH // 2), np.uint8))
    joined = cv2.morphologyEx(lines, cv2.MORPH_CLOSE, np.ones((3, LENGTH // 2), np.uint8))
    upright = np.asarray(cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, np.ones((1, THIN), np.uint8)), dtype=np.float32)
    _, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    for x, y, w, h, _ in stats[1:].tolist():
        if w < LENGTH or h > THIN:
            continue
        reach = (
            _reach(upright[max(y - TICKS, 0) : y, x : x + w][::-1]),
            _reach(upright[y + h : y + h + TICKS, x : x + w]),
        )
        if max(reach) > 0:
            yield x, y - reach[0], x + w, y + h + reach[1]


def _reach(rows: Plane) -> int:
    """How many rows, counted from the line, hold regular ticks; 0 when there are none."""
    if len(rows) < 3 or not _regular(rows[:3].mean(axis=0)):
        return 0
    inked = (rows > INK).sum(axis=1) >= 2
    return int(np.argmin(inked)) if not inked.all() else len(rows)


def _regular(profile: Plane) -> bool:
    """Whether peaks along a profile come at one pitch, often enough, with nothing between them."""
    if (profile > INK).mean() > 0.6:
        return False
    centred = np.minimum(profile, 3 * INK) - np.minimum(profile, 3 * INK).mean()
    power = float((centred**2).sum())
    if power < INK**2 * FEWEST:
        return False
    lags = [lag for lag in PITCHES if lag * FEWEST <= len(profile)]
    smooth = np.convolve(centred, [0.5, 1, 0.5], "same")
    norm = float((smooth**2).sum())
    repeats = [float((smooth[lag:] * smooth[:-lag]).sum()) / norm * len(smooth) / (len(smooth) - lag) for lag in lags]
    return max(repeats, default=0.0) >= REGULAR


def _dashes(grey: Grey8, height: int) -> Iterator[Corners]:
    hat = _thin(grey)
    _, _, stats, _ = cv2.connectedComponentsWithStats(np.asarray(hat > height, dtype=np.uint8), connectivity=8)
    w, h, area = stats[:, 2], stats[:, 3], stats[:, 4]
    fits = (w >= DASH[0]) & (w <= DASH[1]) & (h <= FLAT) & (w >= 1.5 * h) & (area >= 0.7 * w * h)
    bars = sorted(map(tuple, stats[np.flatnonzero(fits)][:, :4].tolist()), key=lambda bar: (bar[1], bar[0]))
    unused = set(bars)
    for bar in bars:
        row = _row_from(bar, unused)
        if len(row) >= 3 and _apart(row, hat):
            unused -= set(row)
            x0, y0 = min(bar[0] for bar in row), min(bar[1] for bar in row)
            yield max(x0 - 1, 0), max(y0 - 1, 0), row[-1][0] + row[-1][2] + 1, max(bar[1] + bar[3] for bar in row) + 1


def _row_from(bar: Corners, bars: set[Corners]) -> list[Corners]:
    """`bar` and the bars of its size that follow it to the right at one pitch."""
    row = [bar]
    pitch = None
    while True:
        x, y, w, _ = row[-1]
        after = [b for b in bars if abs(b[1] - y) <= 1 and abs(b[2] - bar[2]) <= 2 and abs(b[3] - bar[3]) <= 1]
        after = [b for b in after if w < b[0] - x <= 2.5 * w + 2 and (pitch is None or abs(b[0] - x - pitch) <= 1.5)]
        if not after:
            return row
        row.append(min(after))
        pitch = row[1][0] - row[0][0]


def _apart(row: list[Corners], hat: Grey8) -> bool:
    """Whether nothing else stands just above and below the dashes, and the gaps are free."""
    x0, y0 = row[0][0], min(bar[1] for bar in row)
    x1, y1 = row[-1][0] + row[-1][2], max(bar[1] + bar[3] for bar in row)
    beside = np.concatenate([hat[max(y0 - 4, 0) : max(y0 - 1, 0), x0:x1].ravel(), hat[y1 + 1 : y1 + 4, x0:x1].ravel()])
    return beside.size == 0 or float(np.mean(beside > INK / 2)) < 0.1
