"""Ink: text in several fonts, frames, plates and arrows as small stamps ready to be printed on a film."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import cv2
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.ingest.synthetic.canvas import Plane

Picture = NDArray[Any]
Frame = Literal["plain", "box", "circle", "plate"]
INK = 0.1
"""Opacity from which a pixel counts as ink; fainter ones are wiped, so that a box can hold all ink exactly."""


@dataclass(frozen=True)
class Stamp:
    """A small picture to print.

    Attributes:
        opacity: (h, w) in [0, 1]; 0 outside the ink, which touches all four sides.
        tone: (h, w) in [0, 1]; 1 = the ink's own tone, 0 = its opposite (the ground of a plate).
    """

    opacity: Plane
    tone: Plane

    def turned(self, angle: float) -> Stamp:
        """Rotated counter-clockwise by `angle` degrees."""
        height, width = self.opacity.shape
        side = int(np.ceil(np.hypot(height, width))) + 4
        around = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
        around[:, 2] += (side - width) / 2, (side - height) / 2
        opacity, tone = (cv2.warpAffine(plane, around, (side, side)) for plane in (self.opacity, self.tone))
        return _stamp(opacity, tone)

    def softened(self, sigma: float) -> Stamp:
        """Blurred by `sigma` pixels, as a lead letter on the cassette or a scanned print."""
        margin = int(np.ceil(2 * sigma)) + 1
        opacity = cv2.GaussianBlur(np.pad(self.opacity, margin), (0, 0), sigma)
        return _stamp(opacity, np.pad(self.tone, margin, mode="edge"))

    def fitted(self, width: int) -> Stamp:
        """Scaled down to at most `width` pixels across or down."""
        longest = max(self.opacity.shape)
        if longest <= width:
            return self
        opacity, tone = (
            cv2.resize(plane, None, fx=width / longest, fy=width / longest, interpolation=cv2.INTER_AREA)
            for plane in (self.opacity, self.tone)
        )
        return _stamp(opacity, tone)


def lettering(text: str, font: str, height: float, frame: Frame = "plain") -> Stamp:
    """`text` with capitals about `height` pixels high.

    Args:
        text: one line.
        font: a file of the fonts that matplotlib ships.
        height: of a capital, pixels; never drawn below 5, where letters stop being letters.
        frame: nothing, a thin box, a thin circle, or a plate: letters on a box of the opposite tone.
    """
    face = _font(font, max(round(height * 1.38), 7))
    left, top, right, bottom = (round(value) for value in face.getbbox(text))
    picture = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(picture).text((-left, -top), text, fill=255, font=face)
    return _framed(np.asarray(picture), frame, height)


def arrow(length: float, angle: float) -> Stamp:
    """An arrow `length` pixels long that points `angle` degrees counter-clockwise from the right."""
    side = round(length) + 8
    picture = np.zeros((side, side), dtype=np.uint8)
    reach = length / 2 * np.array([np.cos(np.radians(angle)), -np.sin(np.radians(angle))])
    start, end = (np.round(side / 2 + sign * reach).astype(int).tolist() for sign in (-1, 1))
    cv2.arrowedLine(picture, start, end, 255, max(1, round(length / 13)), cv2.LINE_AA, tipLength=0.38)
    opacity = _unit(picture)
    return _stamp(opacity, np.ones_like(opacity))


def _framed(letters: Picture, frame: Frame, height: float) -> Stamp:
    line, margin = max(1, round(height / 11)), max(3, round(0.35 * height))
    tall, wide = letters.shape
    if frame == "circle":
        radius = int(np.ceil(0.5 * np.hypot(tall, wide))) + margin // 2 + line
        side = 2 * radius + 1
        above, before = (side - tall) // 2, (side - wide) // 2
        picture = np.pad(letters, ((above, side - tall - above), (before, side - wide - before)))
        cv2.circle(picture, (radius, radius), radius - line, 255, line, cv2.LINE_AA)
    elif frame == "plain":
        picture = letters
    else:
        picture = np.pad(letters, margin)
        if frame == "box":
            cv2.rectangle(picture, (0, 0), (picture.shape[1] - 1, picture.shape[0] - 1), 255, line)
    drawn = _unit(picture)
    return _stamp(np.ones_like(drawn), drawn) if frame == "plate" else _stamp(drawn, np.ones_like(drawn))


def _unit(picture: Picture) -> Plane:
    return np.asarray(picture, dtype=np.float32) / np.float32(255)


def _stamp(opacity: Picture, tone: Picture) -> Stamp:
    """Crop to the ink and wipe what is fainter."""
    inked = opacity > INK
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    wiped = np.where(inked, opacity, 0)
    return Stamp(np.asarray(wiped[part], dtype=np.float32), np.asarray(tone[part], dtype=np.float32))


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    path = Path(mpl.get_data_path(), "fonts", "ttf", name)
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
