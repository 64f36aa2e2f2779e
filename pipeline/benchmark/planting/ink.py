"""Lettering in many typefaces, and figures that are drawn: arrows, scale bars, electrodes, pacemakers."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from pipeline.ingest.synthetic.canvas import ellipse, smooth_path
from pipeline.ingest.synthetic.lettering import Frame, Stamp, arrow, lettering

TYPEFACES = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSansMono-Bold.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Bold.ttf",
    "STIXGeneral.ttf",
    "STIXGeneralBol.ttf",
    "cmss10.ttf",
    "cmtt10.ttf",
)
"""Files that matplotlib ships."""
STROKED = {"hershey-simplex": cv2.FONT_HERSHEY_SIMPLEX, "hershey-duplex": cv2.FONT_HERSHEY_DUPLEX}
"""OpenCV's single-stroke letters, as old consoles burn in."""
AILERON = "aileron"
"""Pillow's own typeface."""
FONTS = (*TYPEFACES, *STROKED, AILERON)


def written(text: str, font: str, height: float, frame: Frame = "plain") -> Stamp:
    """`text` with capitals about `height` pixels high; frames only for `TYPEFACES`, see `lettering`."""
    if font in STROKED:
        return _stroked(text, STROKED[font], height)
    return _aileron(text, height) if font == AILERON else lettering(text, font, height, frame)


def on_plate(stamp: Stamp, height: float) -> Stamp:
    """`stamp` on a tight ground of the opposite tone; `height` of its capitals, pixels."""
    margin = max(2, round(0.22 * height))
    tone = np.pad(stamp.opacity * stamp.tone, margin)
    return Stamp(np.ones_like(tone), tone)


def arrow_of(length: float, generator: np.random.Generator) -> Stamp:
    """An arrow that points anywhere: with a shaft, or a bare head."""
    angle = float(generator.uniform(0, 360))
    return arrow(length, angle) if generator.random() < 0.7 else _arrowhead(length, angle)


def ruler(length: float, generator: np.random.Generator) -> Stamp:
    """A scale bar `length` pixels long with ticks, upright or lying; a third of them are dashes without a bar."""
    thick, tick = max(1, round(length / 90)), max(4, round(length / 14))
    marks = int(generator.integers(5, 11))
    picture = np.zeros((round(length) + 2, tick + 2), dtype=np.uint8)
    for number, at in enumerate(np.linspace(1, length, marks)):
        reach = tick if number % 5 == 0 else max(2, tick // 2)
        cv2.line(picture, (1, round(at)), (reach, round(at)), 255, thick)
    if generator.random() < 0.67:
        cv2.line(picture, (1, 1), (1, round(length)), 255, thick)
    return _stamp(picture if generator.random() < 0.7 else picture.T)


def device(extent: float, generator: np.random.Generator) -> Stamp:
    """A pacemaker with its lead, or electrodes with wires, `extent` pixels across: half transparent, as metal is."""
    return _pacemaker(extent, generator) if generator.random() < 0.5 else _electrode(extent, generator)


def _pacemaker(extent: float, generator: np.random.Generator) -> Stamp:
    """A can with its header, battery and one or two leads that bend towards the heart and end in a bright tip."""
    picture = np.zeros((round(extent), round(extent)), dtype=np.uint8)
    can = generator.uniform(0.24, 0.30) * extent
    centre = np.array([0.74, 0.30]) * extent
    for _ in range(int(generator.integers(1, 3))):
        wander = generator.normal(0, 0.04, (3, 2)) * extent
        route = np.array([[0.56, 0.08], [0.24, 0.34], [0.30, 0.90]]) * extent + wander
        _wire(picture, np.concatenate([centre[None] - [0, 0.6 * can], route]), extent / 85)
        tip = np.clip(np.rint(route[-1]), 0, extent - 1).astype(int).tolist()
        cv2.circle(picture, tip, max(1, round(extent / 60)), 255, -1, cv2.LINE_AA)
    for reach, shift, value in ((1.0, 0.0, 165), (0.92, 0.0, 215), (0.45, -0.45, 130), (0.62, 0.2, 250)):
        outline = ellipse((0.0, 0.0), (0.56 * can * reach, 0.62 * can * reach))
        square = outline * (1 + 0.18 * np.abs(np.sin(2 * np.linspace(0, 2 * np.pi, 32, endpoint=False))))[:, None]
        points = np.round((square + centre + [0, shift * can]) * 16).astype(np.int32)
        cv2.fillPoly(picture, [points], value, cv2.LINE_AA, 4)
    return _stamp(picture[:, ::-1] if generator.random() < 0.5 else picture)


def _electrode(extent: float, generator: np.random.Generator) -> Stamp:
    picture = np.zeros((round(extent), round(extent)), dtype=np.uint8)
    pad = (np.array([0.3, 0.7]) + generator.normal(0, 0.03, 2)) * extent
    bend = generator.normal(0, 0.08, (2, 2)) * extent + np.array([[0.5, 0.55], [0.6, 0.25]]) * extent
    _wire(picture, np.concatenate([pad[None], bend, [[0.95 * extent, 0.04 * extent]]]), max(1.0, extent / 80))
    radius = max(3, round(extent / 14))
    at = (round(float(pad[0])), round(float(pad[1])))
    cv2.circle(picture, at, radius, 150, -1, cv2.LINE_AA)
    cv2.circle(picture, at, max(1, radius // 3), 255, -1, cv2.LINE_AA)
    return _stamp(picture[:, ::-1] if generator.random() < 0.5 else picture)


def _wire(picture: NDArray[np.uint8], route: NDArray[np.float64], width: float) -> None:
    path = np.round(smooth_path(route) * 16).astype(np.int32)
    cv2.polylines(picture, [path], False, 215, max(1, round(width)), cv2.LINE_AA, 4)


def _arrowhead(length: float, angle: float) -> Stamp:
    turn = np.radians(angle)
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    size = 0.5 * length
    outline = np.array([[size / 2, 0], [-size / 2, size / 3], [-size / 4, 0], [-size / 2, -size / 3]]) @ axes
    picture = np.zeros((round(size) + 8, round(size) + 8), dtype=np.uint8)
    points = np.round((outline + picture.shape[0] / 2) * 16).astype(np.int32)
    cv2.fillPoly(picture, [points], 255, cv2.LINE_AA, 4)
    return _stamp(picture)


def _stroked(text: str, face: int, height: float) -> Stamp:
    thick = max(1, round(height / 11))
    scale = cv2.getFontScaleFromHeight(face, max(round(height), 6), thick)
    (wide, tall), below = cv2.getTextSize(text, face, scale, thick)
    margin = thick + 2
    picture = np.zeros((tall + below + 2 * margin, wide + 2 * margin), dtype=np.uint8)
    cv2.putText(picture, text, (margin, margin + tall), face, scale, 255, thick, cv2.LINE_AA)
    return _stamp(picture)


def _aileron(text: str, height: float) -> Stamp:
    face = ImageFont.load_default(max(round(height * 1.4), 8))
    left, top, right, bottom = (round(value) for value in face.getbbox(text))
    picture = Pillow.new("L", (right - left + 2, bottom - top + 2))
    ImageDraw.Draw(picture).text((1 - left, 1 - top), text, fill=255, font=face)
    return _stamp(np.asarray(picture))


def _stamp(picture: NDArray[np.uint8]) -> Stamp:
    opacity = picture.astype(np.float32) / np.float32(255)
    return Stamp(opacity, np.ones_like(opacity)).turned(0.0)  # which crops to the ink
