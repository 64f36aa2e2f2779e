"""How x-rays differ between hospitals, as random changes of a picture and of its lung mask.

Place, exposure, sharpness and noise; consolidated lung; and what hides parts of the picture: shutters, padding, print,
and blank patches such as cleansing leaves. Lung under print or a patch is still lung; beyond a shutter nobody sees any.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
"""(S, S) in [0, 1], bright = dense."""
Mask = NDArray[np.bool_]

_LETTERS = "ABCDLRPAVX0123456789:"
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX)


def augment_lungs(picture: Picture, lungs: Mask, side: int, rng: np.random.Generator) -> tuple[Picture, Mask]:
    """One randomly changed copy, (side, side) each; the arguments are not modified.

    Args:
        picture: float32 (S, S) in [0, 1].
        lungs: (S, S).
        side: of the result, pixels.
        rng: decides everything.
    """
    picture, lungs = _move(picture, lungs, side, rng)
    for chance, change in _OF_PICTURE:
        if rng.random() < chance:
            picture = np.clip(change(picture, lungs, rng), 0, 1).astype(np.float32)
    if rng.random() < 0.35:
        picture, lungs = _shut(picture, lungs, rng)
    for chance, change in _ON_TOP:
        if rng.random() < chance:
            picture = change(picture, lungs, rng)
    return np.clip(picture, 0, 1), lungs


def _move(picture: Picture, lungs: Mask, side: int, rng: np.random.Generator) -> tuple[Picture, Mask]:
    """Rotated up to 15 degrees, scaled 0.7 to 1.35, stretched, shifted, one in four mirrored."""
    size = picture.shape[0]
    angle, scale = np.radians(rng.uniform(-15, 15)), np.exp(rng.uniform(np.log(0.7), np.log(1.35))) * side / size
    stretch = np.exp(rng.uniform(-0.12, 0.12, 2)) * scale
    if rng.random() < 0.25:
        stretch[0] *= -1
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * stretch
    shift = side / 2 + rng.uniform(-0.1, 0.1, 2) * side - turn @ np.full(2, size / 2)
    matrix = np.column_stack([turn, shift])
    border = cv2.BORDER_CONSTANT if rng.random() < 0.6 else cv2.BORDER_REPLICATE
    moved = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_AREA, borderMode=border)
    inside = cv2.warpAffine(lungs.astype(np.float32), matrix, (side, side))
    return np.asarray(moved, dtype=np.float32), inside > 0.5


def _tone(picture: Picture, _: Mask, rng: np.random.Generator) -> Picture:
    bent = picture ** np.float32(np.exp(rng.uniform(-0.7, 0.7)))
    return (bent - np.float32(0.5)) * np.float32(np.exp(rng.uniform(-0.5, 0.3))) + np.float32(rng.uniform(0.38, 0.62))


def _equalise(picture: Picture, _: Mask, rng: np.random.Generator) -> Picture:
    levels = np.asarray(picture * 255, dtype=np.uint8)
    tiles = int(rng.integers(2, 9))
    equal = cv2.createCLAHE(float(rng.uniform(1, 4)), (tiles, tiles)).apply(levels)
    return np.asarray(equal, dtype=np.float32) / np.float32(255)


def _shade(picture: Picture, _: Mask, rng: np.random.Generator) -> Picture:
    """Uneven exposure over the film."""
    return picture + _smooth(picture.shape[0], 3, rng) * np.float32(rng.uniform(0.03, 0.12))


def _consolidate(picture: Picture, lungs: Mask, rng: np.random.Generator) -> Picture:
    """White patches in the lungs, up to a lung that is as dense as the heart."""
    dense = np.clip(_smooth(picture.shape[0], int(rng.integers(3, 8)), rng) + rng.uniform(-0.5, 0.8), 0, 1)
    feathered = cv2.GaussianBlur(lungs.astype(np.float32), (0, 0), 4) * dense
    level = np.quantile(picture, rng.uniform(0.6, 0.9))
    filled = feathered * np.maximum(level - picture, 0) * rng.uniform(0.4, 1.0)
    return np.asarray(picture + filled, dtype=np.float32)


def _coarsen(picture: Picture, _: Mask, rng: np.random.Generator) -> Picture:
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 1.6)))
    return picture + np.float32(rng.uniform(0.3, 1.5)) * (picture - cv2.GaussianBlur(picture, (0, 0), 2))


def _grain(picture: Picture, _: Mask, rng: np.random.Generator) -> Picture:
    return picture + rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(rng.uniform(0.005, 0.07))


def _shut(picture: Picture, lungs: Mask, rng: np.random.Generator) -> tuple[Picture, Mask]:
    """Bands of one grey along some sides, as shutters, padding and screenshots leave them."""
    side = picture.shape[0]
    top, left, bottom, right = (rng.uniform(0, 0.16, 4) * (rng.random(4) < 0.6) * side).astype(int)
    seen = np.zeros_like(lungs)
    seen[top : side - bottom, left : side - right] = True
    level = rng.choice([0.0, 0.0, 1.0, rng.random()])
    return np.where(seen, picture, np.float32(level)), lungs & seen


def _print(picture: Picture, _: Mask, rng: np.random.Generator) -> Picture:
    """Words and letters, some on a plate or in a frame, anywhere."""
    drawn = picture
    for _each in range(int(rng.integers(1, 4))):
        text = "".join(rng.choice(list(_LETTERS), int(rng.integers(1, 9))))
        font, scale, level = int(rng.choice(_FONTS)), float(rng.uniform(0.3, 1.4)), float(rng.choice([0.0, 0.9, 1.0]))
        (width, height), _base = cv2.getTextSize(text, font, scale, 1)
        x, y = int(rng.integers(0, picture.shape[1])), int(rng.integers(8, picture.shape[0]))
        ink = np.zeros(picture.shape, dtype=np.uint8)
        if rng.random() < 0.4:
            cv2.rectangle(ink, (x - 3, y + 3), (x + width + 3, y - height - 3), 255, int(rng.choice([-1, 1])))
            drawn, ink = _ink(drawn, ink, 1 - level), np.zeros_like(ink)
        cv2.putText(ink, text, (x, y), font, scale, 255, int(rng.integers(1, 3)), cv2.LINE_AA)
        drawn = _ink(drawn, ink, level)
    return drawn


def _ink(picture: Picture, ink: NDArray[np.uint8], level: float) -> Picture:
    cover = ink.astype(np.float32) / 255
    return np.asarray(picture * (1 - cover) + np.float32(level) * cover)


def _wires(picture: Picture, _: Mask, rng: np.random.Generator) -> Picture:
    """Leads and arrows: thin bright or dark curves."""
    drawn = picture
    for _each in range(int(rng.integers(1, 4))):
        points = np.cumsum(rng.normal(0, picture.shape[0] / 8, (6, 2)), axis=0) + rng.uniform(0, picture.shape[0], 2)
        level, width = float(rng.choice([0.1, 0.9, 1.0])), int(rng.integers(1, 4))
        ink = np.zeros(picture.shape, dtype=np.uint8)
        cv2.polylines(ink, [points.round().astype(np.int32)], False, 255, width, cv2.LINE_AA)
        drawn = _ink(drawn, ink, level)
    return drawn


def _blank(picture: Picture, _: Mask, rng: np.random.Generator) -> Picture:
    """Rectangles of one grey, or blurred, as erased regions look."""
    drawn = picture.copy()
    side = picture.shape[0]
    for _each in range(int(rng.integers(1, 4))):
        height, width = (rng.uniform(0.04, 0.25, 2) * side).astype(int)
        y, x = int(rng.integers(0, side - height)), int(rng.integers(0, side - width))
        patch = drawn[y : y + height, x : x + width]
        patch[:] = patch.mean() if rng.random() < 0.5 else rng.random()
    return drawn


def _smooth(side: int, cells: int, rng: np.random.Generator) -> Picture:
    """Smooth noise of unit variance."""
    coarse = rng.standard_normal((cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


_Change = Callable[[Picture, Mask, np.random.Generator], Picture]
_OF_PICTURE: tuple[tuple[float, _Change], ...] = (
    (0.3, _consolidate),
    (0.15, _equalise),
    (0.8, _tone),
    (0.4, _shade),
    (0.4, _coarsen),
    (0.4, _grain),
)
"""Of the beam, film and disease: with these chances, in this order."""
_ON_TOP: tuple[tuple[float, _Change], ...] = ((0.35, _print), (0.2, _wires), (0.25, _blank))
"""Laid over the picture."""
