"""The filters of the gallery in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LABELS = {
    "finding": "Finding",
    "kind": "Kind of region",
    "label": "Class",
    "status": "Status",
    "source": "Source",
    "split": "Split",
    "cluster": "Look alike",
    "saliency_cluster": "Read alike by the classifier",
    "origin": "Region found by",
    "explained": "Has a saliency map",
    "held_back": "Left for a person by the plan",
    "tagged": "Marked for a second reader",
}
"""Filters that choose one of several values, in the order of the page."""

_WORDS = {
    "status": {
        "open": "to decide",
        "second": "second reader needed",
        "conflict": "readers disagree",
        "decided": "decided",
    },
    "split": {"train": "training", "val": "validation", "test": "test", "other_source": "another source"},
    "origin": {"detected": "detector", "drawn": "a person", "residual": "detector, after cleansing"},
}
_YES_NO = {name: {"true": "yes", "false": "no"} for name in ("explained", "held_back", "tagged")}
_LONG = 60


@dataclass(frozen=True)
class FilterField:
    """One filter: its name in requests, its label, and the value that the address chooses, with its words."""

    name: str
    label: str
    chosen: str
    chosen_words: str


def filter_fields(query: Mapping[str, str], words: Mapping[str, Mapping[str, str]]) -> list[FilterField]:
    """The gallery's filters as the address sets them.

    Args:
        query: of the page's address.
        words: see `filter_words`.
    """
    chosen = {name: query.get(name, "") for name in LABELS}
    return [
        FilterField(name, label, chosen[name], words.get(name, {}).get(chosen[name], chosen[name]))
        for name, label in LABELS.items()
    ]


def filter_words(titles: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What values of filters mean: filter -> value -> words; values that are missing speak for themselves.

    Args:
        titles: of the findings, by id.
    """
    findings = {finding: f"{finding} {_short(title)}" for finding, title in titles.items()}
    return {"finding": findings, **_WORDS, **_YES_NO}


def _short(title: str) -> str:
    return title if len(title) <= _LONG else f"{title[: _LONG - 1].rstrip()}…"
