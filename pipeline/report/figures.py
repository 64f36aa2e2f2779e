"""The comparison as dots with intervals; the same numbers give the same bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.report.metrics import METRICS
from pipeline.report.predictions import ARMS
from pipeline.report.verdict import NAMES

TITLES = {
    "raw": "raw",
    "cleansed": "cleansed",
    "marker_swapped": "marker-swapped",
    "other_source": "other source",
}
MARKERS = {"before": "o", "after": "D", "control": "s"}
OFFSETS = {"before": -0.22, "after": 0.0, "control": 0.22}


@dataclass(frozen=True)
class Theme:
    """Colours on a light or a dark page; arms are told apart by shape as well, for the colour-blind and for print."""

    text: str
    faint: str
    ground: str
    arms: Mapping[str, str]


LIGHT = Theme("#1c2530", "#d5dbe3", "#ffffff", {"before": "#c8500a", "after": "#0b66b0", "control": "#747f8c"})
DARK = Theme("#e4e9f0", "#3a4553", "#171d26", {"before": "#ff9a57", "after": "#62b4ff", "control": "#9aa7b6"})


def comparison_figure(comparison: Mapping[str, Any], theme: Theme = LIGHT) -> str:
    """PNG data address: one panel a metric, one line a condition, dot and interval per arm, small dots per seed."""
    conditions = [name for name in TITLES if name in comparison["conditions"]]
    figure = Figure(figsize=(11, 1.15 + 0.62 * len(conditions)), facecolor=theme.ground, layout="constrained")
    panels = figure.subplots(1, len(METRICS), sharey=True, gridspec_kw={"wspace": 0.12})
    for panel, metric in zip(panels, METRICS, strict=True):
        _panel(panel, metric, [comparison["conditions"][name] for name in conditions], theme)
    labels = [f"{TITLES[name]}\nN = {comparison['conditions'][name]['n']:,}" for name in conditions]
    panels[0].set_yticks(range(len(conditions)), labels, color=theme.text)
    panels[0].set_ylim(len(conditions) - 0.5, -0.5)
    handles = [_handle(arm, theme) for arm in ARMS if any(arm in c for c in comparison["conditions"].values())]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, frameon=False, labelcolor=theme.text)
    return _address(figure)


def reliability_figure(comparison: Mapping[str, Any], theme: Theme = LIGHT) -> str:
    """PNG data address: one panel a condition, share of positives against probability, a dot and interval a bin."""
    conditions = [name for name in TITLES if name in comparison["conditions"]]
    figure = Figure(figsize=(11, 3.5), facecolor=theme.ground, layout="constrained")
    panels = figure.subplots(1, len(conditions), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, conditions, strict=True):
        _reliability(panel, name, comparison["conditions"][name], theme)
    panels[0].set_ylabel(f"share of {comparison['positive']}", color=theme.text)
    handles = [_handle(arm, theme) for arm in ARMS if arm in comparison["arms"]]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, frameon=False, labelcolor=theme.text)
    return _address(figure)


def _reliability(panel: Axes, name: str, condition: Mapping[str, Any], theme: Theme) -> None:
    panel.set_facecolor(theme.ground)
    panel.plot([0, 1], [0, 1], color=theme.faint, linewidth=1.2)
    counts: list[int] = []
    for arm in (arm for arm in ARMS if arm in condition["calibration"]):
        bins = condition["calibration"][arm]["bins"]
        share, low, high = (np.array([each["positives"][key] for each in bins]) for key in ("mean", "low", "high"))
        panel.errorbar(
            [each["probability"] for each in bins],
            share,
            [share - low, high - share],
            fmt=MARKERS[arm],
            color=theme.arms[arm],
            elinewidth=1,
            markersize=5,
            markeredgecolor=theme.ground,
        )
        counts += [each["n"] for each in bins]
    per_bin = "–".join(str(count) for count in sorted({min(counts), max(counts)}))
    panel.set_title(f"{TITLES[name]}, N per bin {per_bin}", color=theme.text, fontsize=10, loc="left")
    panel.set_xlabel("probability", color=theme.text)
    panel.set_xlim(-0.03, 1.03)
    panel.set_ylim(-0.03, 1.03)
    panel.set_aspect("equal")
    panel.tick_params(colors=theme.text, length=0)
    for spine in panel.spines.values():
        spine.set_color(theme.faint)


def _address(figure: Figure) -> str:
    stream = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(stream, format="png", dpi=150, metadata={"Software": None})
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _panel(panel: Axes, metric: str, conditions: list[Mapping[str, Any]], theme: Theme) -> None:
    panel.set_facecolor(theme.ground)
    panel.set_title(NAMES[metric], color=theme.text, fontsize=11, loc="left")
    panel.set_xlim(-0.03, 1.03)
    panel.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"], color=theme.text)
    panel.grid(axis="x", color=theme.faint, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.tick_params(length=0)
    for spine in panel.spines.values():
        spine.set_visible(False)
    for line, condition in enumerate(conditions):
        for arm in ARMS:
            if arm in condition:
                _dot(panel, condition[arm][metric], line + OFFSETS[arm], arm, theme)


def _dot(panel: Axes, value: Mapping[str, Any], height: float, arm: str, theme: Theme) -> None:
    colour = theme.arms[arm]
    seeds = [each for each in value.get("by_seed", ()) if each is not None]
    panel.plot(seeds, [height] * len(seeds), ".", color=colour, alpha=0.45, markersize=4, markeredgewidth=0)
    if value["mean"] is None:
        return
    if value["low"] is not None and value["high"] is not None:
        panel.plot([value["low"], value["high"]], [height, height], color=colour, linewidth=2.2, solid_capstyle="round")
    panel.plot([value["mean"]], [height], MARKERS[arm], color=colour, markersize=6.5, markeredgecolor=theme.ground)


def _handle(arm: str, theme: Theme) -> Line2D:
    words = {"before": "before", "after": "after cleansing", "control": "control: random regions cleansed"}
    return Line2D([], [], color=theme.arms[arm], marker=MARKERS[arm], markersize=6.5, linewidth=2.2, label=words[arm])
