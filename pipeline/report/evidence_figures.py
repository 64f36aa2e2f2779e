"""Pictures of evidence tables: the black-out curve, mean saliency maps of groups."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.report.figures import DARK, LIGHT, Theme

MOST = 10
"""Groups shown."""


def blackout_figure(records: Sequence[Mapping[str, Any]]) -> dict[str, str] | None:
    """AUROC against the black share of a side, classifier and retrained form, chance shaded; None without numbers."""
    known = [each for each in records if each["r"] is not None and each["auroc"]["low"] is not None]
    return _both(lambda theme: _blackout(known, theme)) if known else None


def mean_maps_figure(classes: Mapping[str, Mapping[str, Any]]) -> dict[str, str] | None:
    """The mean map of every group, side by side; None without groups."""
    groups = [(name, group) for name, found in classes.items() for group in found["clusters"]][:MOST]
    return _both(lambda theme: _maps(groups, theme)) if groups else None


def _both(draw: Callable[[Theme], Figure]) -> dict[str, str]:
    return {"light": _address(draw(LIGHT)), "dark": _address(draw(DARK))}


def _blackout(records: Sequence[Mapping[str, Any]], theme: Theme) -> Figure:
    figure = Figure(figsize=(7, 3.2), facecolor=theme.ground, layout="constrained")
    panel = figure.subplots()
    panel.set_facecolor(theme.ground)
    for form, arm, marker in (("classifier", "before", "o"), ("retrained", "after", "D")):
        ours = sorted((each for each in records if each["form"] == form), key=lambda each: float(each["r"]))
        if ours:
            r = [each["r"] for each in ours]
            mean, low, high = (np.array([each["auroc"][key] for each in ours]) for key in ("mean", "low", "high"))
            panel.errorbar(
                r, mean, [mean - low, high - mean], color=theme.arms[arm], marker=marker, linewidth=1.5, label=form
            )
            panel.fill_between(r, 0, [each["null95"] for each in ours], color=theme.faint, alpha=0.35, linewidth=0)
    panel.set_ylim(0, 1.02)
    panel.set_xlabel("black share of each side", color=theme.text)
    panel.set_ylabel("AUROC", color=theme.text)
    panel.tick_params(colors=theme.text)
    for spine in panel.spines.values():
        spine.set_visible(False)
    panel.legend(frameon=False, labelcolor=theme.text, loc="lower left")
    return figure


def _maps(groups: Sequence[tuple[str, Mapping[str, Any]]], theme: Theme) -> Figure:
    figure = Figure(figsize=(1.7 * MOST, 2.1), facecolor=theme.ground, layout="constrained")
    for panel, (name, group) in zip(figure.subplots(1, MOST), groups, strict=False):
        panel.imshow(np.asarray(group["mean_map"]), cmap="inferno")
        panel.set_title(f"{name} {group['number']}\n{group['size']} maps", color=theme.text, fontsize=9)
    for panel in figure.axes:
        panel.axis("off")
    return figure


def _address(figure: Figure) -> str:
    stream = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(stream, format="png", dpi=130, metadata={"Software": None})
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
