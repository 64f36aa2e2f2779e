"""Estimates with their intervals as small charts: plain geometry that a template draws.

A chart is a list of lines (label, estimate, interval) over one axis, with the values that mean "nothing" or "enough"
drawn as reference lines. Words and numbers stand beside each line, so that the picture says nothing that text does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 240.0
"""Of the plot, in the units of its viewBox."""
Estimate = Mapping[str, Any]
"""`mean`, `low`, `high` and `n`, as findings.json has them."""


@dataclass(frozen=True)
class Bar:
    """One line of a chart; positions in [0, WIDTH]."""

    label: str
    words: str
    low: float
    mean: float
    high: float
    cut_low: bool
    """The interval goes on beyond the axis."""
    cut_high: bool


@dataclass(frozen=True)
class Mark:
    """A reference line or a tick of the axis; position in [0, WIDTH]."""

    at: float
    words: str


@dataclass(frozen=True)
class Chart:
    """What the template draws."""

    title: str
    bars: tuple[Bar, ...]
    ticks: tuple[Mark, ...]
    references: tuple[Mark, ...]


def charts(payload: Mapping[str, Any], min_effect: float | None) -> list[Chart]:
    """The charts of one finding: what its entry of findings.json has numbers for, in the order of their weight.

    Args:
        payload: the entry.
        min_effect: change of probability from which an effect counts, if known; drawn as a reference.
    """
    association = payload.get("association") or {}
    value = association.get("value") or {}
    drawn = [
        _effects(payload, min_effect),
        _odds(association.get("odds_ratio") or value.get("odds_ratio")),
        _shares("Share of each class that has it", association.get("prevalence") or value.get("prevalence") or {}),
        _auroc(association.get("auroc")),
        _enrichment(payload.get("saliency") or {}),
    ]
    return [chart for chart in drawn if chart is not None]


def _effects(payload: Mapping[str, Any], min_effect: float | None) -> Chart | None:
    lines = {
        "removed": (payload.get("effect") or {}).get("excess"),
        "pasted elsewhere": (payload.get("transplant") or {}).get("excess"),
    }
    enough = [] if min_effect is None else [(min_effect, f"enough: {min_effect:g}")]
    title = f"Change of the probability of {payload.get('class', 'its class')}, beyond controls"
    return _linear(title, lines, references=[(0.0, "none"), *enough])


def _odds(odds: Estimate | None) -> Chart | None:
    given = _given({"odds ratio": odds})
    if not given:
        return None
    low = min(0.5, *(line["low"] for line in given.values()))
    high = max(2.0, *(line["high"] for line in given.values()))
    first, last = max(math.floor(math.log10(low)), -4), min(math.ceil(math.log10(high)), 6)

    def place(value: float) -> float:
        return float((math.log10(max(value, 1e-9)) - first) / (last - first))

    decades = [10.0**power for power in range(first, last + 1)]
    step = math.ceil(len(decades) / 5)
    return _chart("How much more often with this class", given, place, decades[::step], [(1.0, "equal")], "{:,g}")


def _shares(title: str, by_class: Mapping[str, Estimate]) -> Chart | None:
    given = _given(by_class)
    if not given:
        return None
    return _chart(title, given, lambda value: value, [0, 0.25, 0.5, 0.75, 1], [], "{:.0%}", percent)


def _auroc(auroc: Estimate | None) -> Chart | None:
    given = _given({"AUROC": auroc})
    if not given:
        return None
    return _chart(
        "How well it alone tells the label",
        given,
        lambda value: (value - 0.4) / 0.6,
        [0.5, 0.75, 1.0],
        [(0.5, "chance")],
        "{:g}",
    )


def _enrichment(saliency: Mapping[str, Mapping[str, Any]]) -> Chart | None:
    lines = {method: entry.get("enrichment") for method, entry in saliency.items()}
    return _linear("Saliency on it, times what its area would get", lines, references=[(1.0, "its area's share")])


def _linear(title: str, lines: Mapping[str, Estimate | None], references: Sequence[tuple[float, str]]) -> Chart | None:
    given = _given(lines)
    if not given:
        return None
    ends = [value for line in given.values() for value in (line["low"], line["mean"], line["high"])]
    ends += [value for value, _ in references]
    low, high = min(ends), max(ends)
    margin = 0.06 * (high - low)
    low, high = low - margin, high + margin
    ticks = list(_round_ticks(low, high))
    return _chart(title, given, lambda value: (value - low) / (high - low), ticks, references, "{:g}")


def _given(lines: Mapping[str, Estimate | None]) -> dict[str, Estimate]:
    needed = ("mean", "low", "high")
    return {name: line for name, line in lines.items() if line and all(line.get(key) is not None for key in needed)}


def _chart(
    title: str,
    lines: Mapping[str, Estimate],
    place: Callable[[float], float],
    ticks: Iterable[float],
    references: Sequence[tuple[float, str]],
    tick_format: str,
    words: Callable[[Estimate], str] | None = None,
) -> Chart:
    def at(value: float) -> float:
        return round(WIDTH * min(max(place(value), 0.0), 1.0), 2)

    bars = tuple(
        Bar(
            label,
            (words or interval_words)(line),
            at(line["low"]),
            at(line["mean"]),
            at(line["high"]),
            place(line["low"]) < 0,
            place(line["high"]) > 1,
        )
        for label, line in lines.items()
    )
    marks = tuple(Mark(at(value), tick_format.format(value)) for value in ticks)
    return Chart(title, bars, marks, tuple(Mark(at(value), said) for value, said in references))


def _round_ticks(low: float, high: float) -> Iterable[float]:
    """About four round values in [low, high]."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step)
    return (round(number * step, 12) for number in range(first, math.floor(high / step) + 1))


def interval_words(estimate: Estimate) -> str:
    """An estimate with its interval and N: "0.133 (0.078 to 0.187), N = 28"."""
    digits = 2 if abs(estimate["mean"]) >= 1 else 3
    low, mean, high = (f"{estimate[key]:,.{digits}f}" for key in ("low", "mean", "high"))
    return f"{mean} ({low} to {high}), N = {estimate['n']:,}"


def percent(estimate: Estimate) -> str:
    """A share with its interval and N: "23% (17% to 30%), N = 155"."""
    low, mean, high = (f"{estimate[key]:.0%}" for key in ("low", "mean", "high"))
    return f"{mean} ({low} to {high}), N = {estimate['n']:,}"
