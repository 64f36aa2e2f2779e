"""From marks and boxes to rates, each with its number and interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd
from scipy import stats

from pipeline.benchmark.detectors.scoring import FILM
from pipeline.benchmark.detectors.strata import KINDS
from pipeline.benchmark.planting.marks import MARK_KINDS
from pipeline.flag.profile.association import wilson

SUMMARY: dict[str, str] = {
    "truth": "string",
    "measure": "string",
    "by": "string",
    "value": "string",
    "count": "int64",
    "n": "int64",
    "rate": "Float64",
    "low": "Float64",
    "high": "Float64",
}
"""Columns of summary.parquet: `rate` = `count` / `n` of one `measure` (recall, kind_right, precision,
false_boxes) in the stratum `by` = `value`, with its 95 % interval: Wilson's, for false boxes an image Garwood's."""
LETTERED = tuple(name for name, made in MARK_KINDS.items() if made.write)
STRATA = ("height", "polarity", "rotation", "background", "frame")
"""Of texts: figures and devices have no rotation or frame and are not found alike, so they would blur the others."""
EYE_GROUPS: Mapping[str, tuple[str, ...]] = {
    "words": ("word", "position"),
    "side markers": ("side",),
    "panel letters": ("panel",),
    "dates, numbers": ("date", "number"),
    "arrows": ("arrow",),
    "dashes, rulers, other": ("other", "ruler", "glyph", "mark"),
}
"""Kinds as people name them, pooled as the page shows them."""

Row = dict[str, object]


def summarise(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a rate, columns of `SUMMARY`; `tables` as `run.TABLES` names them."""
    rows = [*_planted(tables["planted"], tables["boxes"], tables["copies"])]
    for half in ("development", "held back"):
        marks, images = (table[table["half"] == half] for table in (tables["eye_marks"], tables["eye_images"]))
        if len(images):
            rows += _eyes(half, marks, images)
    return pd.DataFrame(rows, columns=list(SUMMARY)).astype(SUMMARY)


def rate(truth: str, measure: str, by: str, value: object, count: int, n: int) -> Row:
    """One row; the rate is null where n is 0."""
    low, high = _garwood(count, n) if measure == "false_boxes" else wilson(count, n)
    return {
        **{"truth": truth, "measure": measure, "by": by, "value": str(value), "count": count, "n": n},
        "rate": count / n if n else None,
        "low": low if n else None,
        "high": high if n else None,
    }


def _garwood(count: int, n: int) -> tuple[float, float]:
    """Exact 95 % interval of a Poisson rate per unit, n units (F. Garwood, Biometrika 28, 1936)."""
    if not n:
        return 0.0, 0.0
    low = float(stats.chi2.ppf(0.025, 2 * count)) / 2 if count else 0.0
    return low / n, float(stats.chi2.ppf(0.975, 2 * count + 2)) / 2 / n


def _planted(marks: pd.DataFrame, boxes: pd.DataFrame, copies: pd.DataFrame) -> Iterator[Row]:
    if not len(copies):
        return
    for kind in KINDS:
        own = marks[marks["kind"] == kind]
        called = boxes[boxes["kind"] == kind]
        right = int((own["found_kind"] == kind).sum())
        yield rate("planted", "recall", "kind", kind, int(own["found"].sum()), len(own))
        yield rate("planted", "kind_right", "kind", kind, right, int(own["found"].sum()))
        yield rate("planted", "precision", "kind", kind, int((called["on"] == kind).sum()), len(called))
        for height, part in own.groupby("height"):
            yield rate("planted", "recall", f"{kind} by height", height, int(part["found"].sum()), len(part))
    texts = marks[marks["kind"].isin(LETTERED)]
    for by in STRATA:
        for value, part in texts.groupby(by):
            yield rate("planted", "recall", by, value, int(part["found"].sum()), len(part))
    yield rate("planted", "recall", "all", "texts", int(texts["found"].sum()), len(texts))
    printed = marks[~marks["kind"].isin(FILM)]
    yield rate("planted", "recall", "all", "printed and placed", int(printed["found"].sum()), len(printed))
    yield rate("planted", "precision", "all", "all", int(boxes["on"].notna().sum()), len(boxes))
    yield rate("planted", "false_boxes", "all", "all", int(boxes["false"].sum()), len(copies))


def _eyes(half: str, marks: pd.DataFrame, images: pd.DataFrame) -> Iterator[Row]:
    yield rate(half, "recall", "all", "all marks", int(marks["found"].sum()), len(marks))
    for group, kinds in EYE_GROUPS.items():
        part = marks[marks["kind"].isin(kinds)]
        yield rate(half, "recall", "kind", group, int(part["found"].sum()), len(part))
    yield rate(half, "false_boxes", "all", "all", int(images["false"].sum()), len(images))
