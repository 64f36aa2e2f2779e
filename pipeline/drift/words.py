"""A comparison of two audits in sentences that claim no more than its rows carry.

They go to Prefect and to notices, so they do not repeat words that are printed on images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from pipeline.drift.estimates import SHIFTED, TOO_FEW, Row
from pipeline.drift.marks import TEXT
from pipeline.drift.metrics import ABOUT as METRIC
from pipeline.report.verdict import NAMES, change, interval

TOLD: Final = 6
"""Shifts that get a sentence; the table holds all."""


def drift_words(drift: Mapping[str, Any]) -> list[str]:
    """Sentences, most important first.

    Args:
        drift: what `compare_audits` returns, and `baseline` (`run`, `kind`, `by`), or null where there is none.
    """
    if drift["baseline"] is None:
        return ["This is the first audit of the data set: there is none to compare it with."]
    metrics = [row for row in drift["rows"] if row["about"] == METRIC]
    others = [row for row in drift["rows"] if row["about"] not in (METRIC, TEXT)]
    return [
        _opening(drift),
        _tally(drift["rows"]),
        *_moved(metrics),
        *[f"{_capital(each['change'])}: {each['kind']} ({each['class']})." for each in drift["findings"]],
        *[f"New {each['about']}: {each['name']} ({_images(each['n'])})." for each in drift["new"]],
        *[f"No longer there: {each['about']} {each['name']} ({_images(each['n'])})." for each in drift["gone"]],
        *_moved(others),
    ]


def row_title(row: Row) -> str:
    """``marks: position, opacity``."""
    if row["about"] == METRIC:
        return f"{NAMES[row['name']]} on test images"
    of = f", {row['class']}" if row["class"] is not None else ""
    return f"score{of}" if row["about"] == "score" else f"{row['about']}: {row['name']}{of}"


def change_words(row: Row) -> str:
    """``0.21 (0.15–0.28), N = 200, then; 0.40 (...), N = 220, now; difference +0.19 (+0.10 to +0.28)``."""
    sides = [f"{interval(row[side])}, N = {row[side]['n']:,}, {side}" for side in ("then", "now")]
    return f"{'; '.join(sides)}; difference {change(row['difference'])}"


def _opening(drift: Mapping[str, Any]) -> str:
    baseline, images = drift["baseline"], drift["images"]
    accepted = baseline["kind"] == "accepted"
    which = f"the accepted audit {baseline['run']}" if accepted else f"the previous audit {baseline['run']}"
    why = f" (accepted by {baseline['by']})" if accepted else ", because no accepted audit is there"
    other = "" if drift["same_classifier"] else " Another classifier was audited then."
    return (
        f"Compared with {which}{why}: {images['then']:,} images then, {images['now']:,} now, {images['new']:,} of them "
        f"new; {images['gone']:,} are no longer there.{other}"
    )


def _moved(rows: list[Row]) -> list[str]:
    shifted = [row for row in rows if row["verdict"] == SHIFTED]
    told = [f"{_capital(row_title(row))}: {change_words(row)}, q = {row['q']:.2g}." for row in shifted[:TOLD]]
    rest = len(shifted) - len(told)
    return [*told, f"{rest} more shifts are in the table."] if rest else told


def _tally(rows: list[Row]) -> str:
    count = Counter(row["verdict"] for row in rows)
    few = count[TOO_FEW]
    left = f"; {few} rest on too few patients to say" if few else ""
    return f"{count[SHIFTED]} of {len(rows) - few} comparisons shifted{left}."


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
