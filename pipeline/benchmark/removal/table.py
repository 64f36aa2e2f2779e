"""The result as Markdown: a table for each claim, and what the maps cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from pipeline.benchmark.removal.measures import CLAIMS, MEASURES
from pipeline.benchmark.removal.request import PAIRS

_ARROW = {"lower": "↓", "higher": "↑"}


def render_table(summary: pd.DataFrame, maps: pd.DataFrame, facts: Mapping[str, Any]) -> str:
    """The tables of a benchmark, ready to be pasted into a page.

    Args:
        summary: summary.parquet.
        maps: maps.parquet.
        facts: said above the tables, what -> value.
    """
    sections = [
        "\n".join(f"* {name}: {value}" for name, value in facts.items()),
        _rows(("claim", *(f"{a} → {b}" for a, b in PAIRS)), _claims(summary)),
    ]
    for claim, title in CLAIMS.items():
        part = summary[summary["claim"] == claim]
        heads = ("measure", "methods", "plain", "generative", "difference (95 %)", "holds")
        sections.append(f"### {title}\n\n{_rows(heads, _lines(part))}")
        sections.append("\n".join(f"* {m.title}: {m.protocol}" for m in MEASURES if m.claim == claim))
    sections.append(f"### What it costs, per map\n\n{_rows(_COST, _costs(maps))}")
    sections.append(f"### Maps that do not look at the classifier\n\n{_rows(_FLOOR, _floors(maps))}")
    return "\n\n".join(sections) + "\n"


def _claims(summary: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """For each claim and pair how many measures say yes, the opposite, or neither."""
    for claim, title in CLAIMS.items():
        cells = []
        for plain, _ in PAIRS:
            said = summary[(summary["claim"] == claim) & (summary["plain"] == plain)]["holds"].value_counts()
            cells.append(", ".join(f"{said[word]} {word}" for word in ("yes", "opposite", "undecided") if word in said))
        yield (title, *cells)


def _lines(part: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    titles = {measure.key: f"{measure.title} {_ARROW[measure.better]}" for measure in MEASURES}
    for row in part.to_dict("records"):
        yield (
            titles[str(row["measure"])],
            f"{row['plain']}, {row['generative']}",
            *(_estimate(row, name) for name in ("a", "b", "difference")),
            str(row["holds"]),
        )


def _estimate(row: Mapping[Any, Any], name: str) -> str:
    values = (row[name], row[f"{name}_low"], row[f"{name}_high"])
    sign = "+" if name == "difference" else ""
    mean, low, high = (f"{float(value):{sign}.3g}" if value is not None else "–" for value in values)
    return f"{mean} ({low} to {high})"


_COST = ("method", "forward passes", "backward passes", "seconds")


def _costs(maps: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    usual = maps[maps["setting"] == 0]
    for pair in PAIRS:
        for name in pair:
            part = usual[usual["explainer"] == name]
            yield (
                name,
                *(f"{part[key].median():.0f}" for key in ("forward", "backward")),
                f"{part['seconds'].median():.1f}",
            )


_FLOOR_KEYS = ("iou", "pointing", "enrichment", "rise_deletion", "igos_deletion", "saliency_metric")
_FLOOR = ("map", "localisation error", *(m.title for key in _FLOOR_KEYS for m in MEASURES if m.key == key))


def _floors(maps: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    methods = {name for pair in PAIRS for name in pair}
    for name in maps["explainer"][~maps["explainer"].isin(methods)].unique().tolist():
        part = maps[maps["explainer"] == name]
        levels = [key for key in part.columns if key.startswith("localisation_")]
        yield str(name), f"{part[levels].mean(axis=None):.3g}", *(f"{part[key].mean():.3g}" for key in _FLOOR_KEYS)


def _rows(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", *lines])
