"""How findings speak: the names of kinds, numbers in sentences."""

from __future__ import annotations

from pipeline.flag.behaviour.estimates import Estimate

KIND_WORDS: dict[str, str] = {
    "side": "side markers",
    "position": "position words",
    "word": "other words",
    "panel": "panel letters",
    "date": "dates and times",
    "number": "numbers",
    "identifier": "burned-in identifiers",
    "arrow": "arrows",
    "ruler": "rulers and dash lines",
    "glyph": "unread glyphs",
    "mark": "printed marks",
    "border": "borders and blank bands",
    "corner": "corners",
    "device": "devices and wires",
}
"""Kind of region -> how a sentence calls it."""


def kind_words(kind: str) -> str:
    """A kind of region as a sentence calls it; the kind itself where it has no other name."""
    return KIND_WORDS.get(kind, kind)


def shown(value: Estimate, digits: int = 3, *, sign: bool = False) -> str:
    """``0.123 (0.100 to 0.150), N = 40``."""
    if value["mean"] is None:
        return f"unknown, N = {value['n']:,}"
    plus = "+" if sign else ""
    if value["low"] is None:
        return f"{value['mean']:{plus}.{digits}f}, N = {value['n']:,}"
    mean, low, high = (f"{value[name]:{plus}.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} ({low} to {high}), N = {value['n']:,}"


def percent(value: Estimate) -> str:
    """``12% (8% to 17%, N = 400)``."""
    if value["mean"] is None:
        return "none (N = 0)"
    return f"{value['mean']:.0%} ({value['low']:.0%} to {value['high']:.0%}, N = {value['n']:,})"
