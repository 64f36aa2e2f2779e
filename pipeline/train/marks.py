"""Random marks planted on training images of all classes, so that no mark says anything about a class.

The counterpart of removing marks: a classifier that meets letters, words, plates and arrows on every class alike cannot
tell a class by them. The idea is that of domain randomisation (Tobin et al., IROS 2017): what must not matter is varied
at random. Drawn with OpenCV's stroke fonts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.randomness import numpy_generator

Plane = NDArray[np.float32]
Stamp = tuple[Plane, Plane]
"""Opacity and tone, (h, w) each in [0, 1]; tone 1 is the ink's grey, 0 the opposite (the ground of a plate)."""

MOST = 3
"""Marks on one image."""
CAPITALS = (0.03, 0.07)
"""Height of capitals, share of the image's side."""
ARROWS = (0.08, 0.16)
"""Length of arrows, share of the image's side."""
AT_EDGE = 0.8
"""Share of marks that stand near an edge, as most printed ones do."""
EDGE = 0.2
"""Width of the strip along the edges, share of the image's side."""

WORDS = (
    *("PORTABLE", "AP", "PA", "SUPINE", "ERECT", "SEMI-ERECT", "UPRIGHT", "SITTING", "MOBILE", "DECUBITUS", "CHEST"),
    *("PORTATIL", "SUPINO", "SEMI-SENTADO", "BOX 1", "TORAX", "LEFT", "RIGHT"),
)
_LETTERS = "RLDIABCab"
_FACES = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_PLAIN,
)


def plant_marks(images: Tensor, image_ids: Sequence[str], seed: int, epoch: int, chance: float) -> Tensor:
    """Each image, with probability `chance`, with one to `MOST` random marks; labels are not seen.

    Args:
        images: float32 (B, 1, S, S) in [0, 1] on the CPU; not modified.
        image_ids: one per image. What is planted depends on (seed, epoch, image id) only, not on the batch.
        seed: of the run.
        epoch: of the training.
        chance: in [0, 1].
    """
    planted = images.numpy().copy()
    for picture, image_id in zip(planted[:, 0], image_ids, strict=True):
        rng = numpy_generator(seed, "marks", epoch, image_id)
        if rng.random() < chance:
            for _ in range(int(rng.integers(1, MOST + 1))):
                _press(picture, _stamp(picture.shape[0], rng), rng)
    return torch.from_numpy(planted)


def _stamp(side: int, rng: np.random.Generator) -> Stamp:
    kind = rng.choice(len(_KINDS), p=[share for share, _ in _KINDS])
    opacity, tone = _KINDS[kind][1](side, rng)
    if rng.random() < 0.15:
        turns = int(rng.choice([1, 3]))
        opacity, tone = np.rot90(opacity, turns), np.rot90(tone, turns)
    # A mark wider than the picture is cut, not shrunk: nobody prints illegibly small.
    return opacity[: side - 2, : side - 2], tone[: side - 2, : side - 2]


def _letter(side: int, rng: np.random.Generator) -> Stamp:
    """One letter: plain, boxed or circled."""
    letters = _text(str(rng.choice(list(_LETTERS))), side, 1.3, rng)
    frame = rng.choice(["plain", "box", "circle"], p=[0.6, 0.15, 0.25])
    if frame == "plain":
        return _unit(letters)
    tall, wide = letters.shape
    framed = np.pad(letters, max(2, max(tall, wide) // 3))
    line = max(1, side // 200)
    if frame == "box":
        cv2.rectangle(framed, (0, 0), (framed.shape[1] - 1, framed.shape[0] - 1), 255, line)
    else:
        middle = (framed.shape[1] // 2, framed.shape[0] // 2)
        cv2.circle(framed, middle, min(middle) - 1, 255, line, cv2.LINE_AA)
    return _unit(framed)


def _word(side: int, rng: np.random.Generator) -> Stamp:
    return _plated(_text(str(rng.choice(WORDS)), side, 1.0, rng), rng)


def _digits(side: int, rng: np.random.Generator) -> Stamp:
    """A date, a time or a day count."""
    day, month, year, hour, minute = (
        int(rng.integers(*span)) for span in ((1, 29), (1, 13), (2000, 2030), (0, 24), (0, 60))
    )
    forms = (f"{day:02d}/{month:02d}/{year}", f"{year}-{month:02d}-{day:02d}", f"{hour:02d}:{minute:02d}", f"DAY {day}")
    return _plated(_text(str(rng.choice(forms)), side, 0.8, rng), rng)


def _arrow(side: int, rng: np.random.Generator) -> Stamp:
    length, angle = rng.uniform(*ARROWS) * side, rng.uniform(0, 2 * np.pi)
    canvas = np.zeros((round(length) + 6,) * 2, dtype=np.uint8)
    reach = length / 2 * np.array([np.cos(angle), -np.sin(angle)])
    start, end = (np.round(canvas.shape[0] / 2 + sign * reach).astype(int).tolist() for sign in (-1, 1))
    cv2.arrowedLine(canvas, start, end, 255, max(1, round(length / 13)), cv2.LINE_AA, tipLength=0.38)
    return _unit(canvas)


_KINDS: tuple[tuple[float, Callable[[int, np.random.Generator], Stamp]], ...] = (
    (0.35, _letter),
    (0.35, _word),
    (0.15, _digits),
    (0.15, _arrow),
)


def _text(text: str, side: int, relative: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    face, height = int(rng.choice(_FACES)), rng.uniform(*CAPITALS) * side * relative
    thick = max(1, round(height / 9))
    scale = cv2.getFontScaleFromHeight(face, max(5, round(height)), thick)
    (wide, tall), below = cv2.getTextSize(text, face, scale, thick)
    canvas = np.zeros((tall + below + 2 * thick, wide + 2 * thick), dtype=np.uint8)
    cv2.putText(canvas, text, (thick, thick + tall), face, scale, 255, thick, cv2.LINE_AA)
    return canvas


def _plated(letters: NDArray[np.uint8], rng: np.random.Generator) -> Stamp:
    if rng.random() >= 0.2:
        return _unit(letters)
    drawn, ground = _unit(np.pad(letters, 2))
    return ground, drawn


def _unit(canvas: NDArray[np.uint8]) -> Stamp:
    opacity = canvas.astype(np.float32) / np.float32(255)
    return opacity, np.ones_like(opacity)


def _press(picture: Plane, stamp: Stamp, rng: np.random.Generator) -> None:
    """Print on `picture` in place: bright ink, dark where the ground is bright."""
    opacity, tone = stamp
    y, x = _corner(picture.shape[0], opacity.shape, rng)
    under = picture[y : y + opacity.shape[0], x : x + opacity.shape[1]]
    bright = float(under.mean()) <= 0.6
    ink = np.float32(rng.uniform(0.8, 1.0) if bright else rng.uniform(0.0, 0.15))
    grey = (1 - ink) + (2 * ink - 1) * tone
    under[:] = under * (1 - opacity) + grey * opacity


def _corner(side: int, size: tuple[int, ...], rng: np.random.Generator) -> tuple[int, int]:
    """Top-left corner (y, x): in the strip along an edge, or anywhere."""
    room = np.array([side - size[0], side - size[1]])
    place = rng.random(2)
    if rng.random() < AT_EDGE:
        axis = int(rng.integers(2))
        place[axis] = place[axis] * EDGE + (1 - EDGE) * int(rng.integers(2))
    y, x = np.floor(place * (room + 1)).astype(int).tolist()
    return y, x
