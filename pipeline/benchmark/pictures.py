"""Maps side by side: one block an image, one pane a method; the same maps give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.report.figures import LIGHT
from pipeline.report.pictures import as_picture, overlay

ACROSS = 8
"""Most panes in a line."""
_PANE = 1.45
"""Inches; at `_DPI` a pane has about 145 pixels."""
_TITLE = 0.22
_DPI = 100
_OUTLINE = "#00e5ff"


@dataclass(frozen=True)
class MapExample:
    """One image and its maps.

    Attributes:
        title: printed over the image.
        image: (H, W) in [0, 1].
        truth: bool (H, W), where the evidence is; all False where nobody knows.
        maps: method -> map (H, W), larger = matters more; None where the method failed.
    """

    title: str
    image: NDArray[np.float32]
    truth: NDArray[np.bool_]
    maps: Mapping[str, NDArray[np.float32] | None]


def maps_picture(examples: Sequence[MapExample]) -> bytes:
    """A PNG: for each example the image, the known evidence outlined, then each method's map over the image."""
    across = min(ACROSS, 1 + max(len(example.maps) for example in examples))
    panes = [pane for example in examples for pane in _padded(example, across)]
    lines = len(panes) // across
    figure = Figure((across * _PANE, lines * (_PANE + _TITLE)), dpi=_DPI, facecolor=LIGHT.ground)
    figure.subplots_adjust(0.005, 0.002, 0.995, 1 - _TITLE / (lines * (_PANE + _TITLE)), wspace=0.04, hspace=0.15)
    FigureCanvasAgg(figure)
    for axes, (example, name) in zip(figure.subplots(lines, across, squeeze=False).flat, panes, strict=True):
        _draw(axes, example, name)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _padded(example: MapExample, across: int) -> list[tuple[MapExample, str | None]]:
    """The panes of one example: "" is the bare image, None an empty place at the end of its last line."""
    names: list[str | None] = ["", *example.maps]
    return [(example, name) for name in names + [None] * (-len(names) % across)]


def _draw(axes: Axes, example: MapExample, name: str | None) -> None:
    axes.set_axis_off()
    if name is None:
        return
    plain, saliency = as_picture(example.image), example.maps.get(name)
    axes.set_title(name or example.title, fontsize=7.5, color=LIGHT.text, pad=2)
    axes.imshow(plain if saliency is None else overlay(plain, saliency), interpolation="lanczos")
    if name and saliency is None:
        axes.text(0.5, 0.5, "failed", color="white", ha="center", transform=axes.transAxes)
    if example.truth.any():
        axes.contour(example.truth, levels=[0.5], colors=_OUTLINE, linewidths=0.8)
