"""Radiographs as small JPEG data addresses: outlined regions, saliency overlays, close-ups."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.report.content import Example
from pipeline.types import Box

LONGEST = 512
"""Longest side of a picture, pixels."""
QUALITY = 85
"""JPEG quality."""
OUTLINE = (0, 229, 255)
COLORMAP = "inferno"
"""Perceptually uniform: equal steps of saliency look like equal steps."""
STRONGEST = 0.75
"""Opacity of the overlay where saliency is largest."""

Grey = NDArray[np.float32]


@dataclass(frozen=True)
class Pane:
    """One picture of an example; panes of an example stand side by side at equal height."""

    caption: str
    address: str
    width: int
    height: int


def panes(example: Example) -> list[Pane]:
    """The pictures of one example: outlined, saliency, cleansed, close-up."""
    plain = as_picture(example.image)
    found = [("Image, regions outlined", outlined(plain, example.boxes, plain.width / example.image.shape[1]))]
    if example.saliency is not None:
        found.append((f"Saliency, {example.explainer or 'explainer'}", overlay(plain, example.saliency)))
    if example.cleansed is not None:
        found.append(("Cleansed", as_picture(example.cleansed)))
    if example.boxes:
        found.append(("Close-up" if example.cleansed is None else "Close-up: before, after", close_up(example)))
    return [Pane(caption, data_address(picture), picture.width, picture.height) for caption, picture in found]


def as_picture(image: Grey) -> Image.Image:
    """(H, W) in [0, 1] -> RGB picture, at most `LONGEST` a side."""
    grey = Image.fromarray(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8))
    grey.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return grey.convert("RGB")


def outlined(picture: Image.Image, boxes: tuple[Box, ...], scale: float) -> Image.Image:
    """`picture` with `boxes` (times `scale`) outlined, on a dark rim so that they show on bright and dark ground."""
    copy = picture.copy()
    draw = ImageDraw.Draw(copy)
    for box in boxes:
        x0, y0, x1, y1 = (value * scale for value in box.as_tuple())
        for grow, colour in ((5, (0, 0, 0)), (4, OUTLINE), (3, OUTLINE), (2, (0, 0, 0))):
            draw.rectangle((x0 - grow, y0 - grow, x1 + grow, y1 + grow), outline=colour)
    return copy


def overlay(picture: Image.Image, saliency: Grey) -> Image.Image:
    """`picture` under its saliency: colour and opacity grow with saliency, scaled to its 99.5th percentile."""
    top = float(np.percentile(saliency, 99.5)) or 1.0
    share = Image.fromarray(np.clip(saliency / top, 0, 1).astype(np.float32))
    strength = np.clip(np.asarray(share.resize(picture.size, Image.Resampling.BILINEAR)), 0, 1)
    colour = mpl.colormaps[COLORMAP](strength)[..., :3]
    opacity = (STRONGEST * np.sqrt(strength))[..., None]
    mixed = np.asarray(picture) / 255 * (1 - opacity) + colour * opacity
    return Image.fromarray(np.rint(mixed * 255).astype(np.uint8))


def close_up(example: Example, side: int = 240) -> Image.Image:
    """The largest region and its surroundings, magnified to `side` pixels; beside it the same place cleansed."""
    box = max(example.boxes, key=lambda each: each.area)
    window = _square_around(box, example.image.shape)
    sources = [example.image] if example.cleansed is None else [example.image, example.cleansed]
    canvas = Image.new("RGB", (side, side * len(sources) + 4 * (len(sources) - 1)), (128, 128, 128))
    for number, source in enumerate(sources):
        crop = Image.fromarray(np.rint(np.clip(source[window], 0, 1) * 255).astype(np.uint8))
        canvas.paste(crop.resize((side, side), Image.Resampling.LANCZOS).convert("RGB"), (0, number * (side + 4)))
    return canvas


def data_address(picture: Image.Image) -> str:
    """`picture` as ``data:image/jpeg;base64,...``."""
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _square_around(box: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """A square window, twice the size of `box` and at least 64 pixels, inside an image of `shape`."""
    length = min(round(max(2 * box.width, 2 * box.height, 64)), *shape)
    corner = []
    for centre, limit in (((box.y0 + box.y1) / 2, shape[0]), ((box.x0 + box.x1) / 2, shape[1])):
        start = min(max(round(centre - length / 2), 0), limit - length)
        corner.append(slice(start, start + length))
    return corner[0], corner[1]
