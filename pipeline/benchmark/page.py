"""The comparison as one self-contained HTML page: no script, no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from models.spec import ModelSpec
from pipeline.benchmark.columns import BIAS, COLUMNS, GROUPS, Column, Group
from pipeline.benchmark.cost import MEMORY_MEANS
from pipeline.benchmark.table import CONFIDENCE, REFERENCE, RESAMPLES
from pipeline.dataset import DatasetMeta
from pipeline.explain.registry import method
from pipeline.report.page import show
from pipeline.report.verdict import change, interval

ARROWS = {"lower": "↓", "higher": "↑", None: ""}


@dataclass(frozen=True)
class PageInput:
    """What the page shows.

    Attributes:
        dataset: the data set.
        spec: of the classifier.
        counts: how the images were come by.
        summary: summary.parquet.
        timings: see `explainers.time_per_image`.
        measured: one row a method and image; its `error` and `metric_errors` are counted.
        picture: PNG of example maps.
        device: kind of device, "cpu" or "cuda".
        batch: images explained together.
    """

    dataset: DatasetMeta
    spec: ModelSpec
    counts: Mapping[str, int]
    summary: pd.DataFrame
    timings: pd.DataFrame
    measured: pd.DataFrame
    picture: bytes
    device: str
    batch: int


def render_page(content: PageInput) -> str:
    """The page as HTML text; every string is escaped."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("pipeline.benchmark"), PackageLoader("pipeline.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(show=show, interval=interval, change=change)
    timings = content.timings.set_index("explainer")
    rows = [_row(record, timings.loc[record["explainer"]]) for record in content.summary.to_dict("records")]
    return environment.get_template("explainers.html.j2").render(
        page=content,
        rows=rows,
        groups={GROUPS[group]: columns for group, columns in _measured_columns(content.summary).items()},
        arrows=ARROWS,
        unmeasured=[column.title for column in (*COLUMNS, *BIAS) if not _measured(content.summary, column)],
        failures=_failures(content),
        reference=REFERENCE if REFERENCE in timings.index else None,
        percent=round(100 * CONFIDENCE),
        resamples=RESAMPLES,
        batch=content.batch,
        memory=MEMORY_MEANS[content.device],
        picture=base64.b64encode(content.picture).decode(),
    )


def _measured_columns(summary: pd.DataFrame) -> dict[Group, list[Column]]:
    """The columns that any method has a number in, by group; a group without one is left out."""
    found: dict[Group, list[Column]] = {}
    for column in (*COLUMNS, *BIAS):
        if column.group == "cost" or _measured(summary, column):
            found.setdefault(column.group, []).append(column)
    return {group: found[group] for group in GROUPS if group in found}


def _measured(summary: pd.DataFrame, column: Column) -> bool:
    return bool(summary[column.key].notna().any())


def _row(record: Mapping[Any, Any], timing: pd.Series[Any]) -> dict[str, Any]:
    name = str(record["explainer"])
    entry = method(name)
    return {
        "name": name,
        "title": entry.title,
        "trivial": entry.trivial,
        "cells": {column.key: _cell(record, column) for column in (*COLUMNS, *BIAS)},
        "ms": _known(timing["ms_per_image"]),
        "megabytes": None if pd.isna(timing["peak_bytes"]) else float(timing["peak_bytes"]) / 1e6,
    }


def _cell(record: Mapping[Any, Any], column: Column) -> dict[str, Any]:
    """Numbers of one cell, and the class that says how it compares with the reference."""
    value = {
        part: _known(record.get(column.key + end)) for part, end in (("mean", ""), ("low", "_low"), ("high", "_high"))
    }
    difference = {
        part: _known(record.get(f"{column.key}_difference{end}"))
        for part, end in (("mean", ""), ("low", "_low"), ("high", "_high"))
    }
    return {
        "value": value | {"n": record.get(f"{column.key}_n")},
        "difference": difference,
        "way": _way(difference, column.better),
    }


def _way(difference: Mapping[str, float | None], better: Literal["lower", "higher"] | None) -> str:
    """`up`: better than the reference, `down`: worse, `faint`: no difference was measured."""
    low, high = difference["low"], difference["high"]
    if low is None or high is None or better is None or low <= 0 <= high:
        return "faint"
    return "up" if (low > 0) == (better == "higher") else "down"


def _failures(content: PageInput) -> list[tuple[str, str, int | None]]:
    """(method, what went wrong, in how many images; None: with the method as a whole), in order of appearance."""
    counts: dict[tuple[str, str], int] = {}
    for name, *texts in content.measured[["explainer", "error", "metric_errors"]].itertuples(index=False):
        for text in texts:
            if pd.notna(text):
                counts[str(name), str(text)] = counts.get((str(name), str(text)), 0) + 1
    bias = content.summary.dropna(subset="bias_error")[["explainer", "bias_error"]].itertuples(index=False)
    return [*((*key, count) for key, count in counts.items()), *((str(name), str(text), None) for name, text in bias)]


def _known(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
