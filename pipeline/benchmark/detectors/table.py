"""The Markdown page that is pasted into docs/detectors.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from pipeline.benchmark.detectors.strata import HEIGHTS, KINDS, LONGEST
from pipeline.benchmark.detectors.summary import EYE_GROUPS, STRATA

_NO = "-"


def markdown(tables: Mapping[str, pd.DataFrame], summary: pd.DataFrame, sampled: str) -> str:
    """All tables under headings; `sampled` says in a sentence what was looked at."""
    parts = []
    if len(tables["copies"]):
        parts += ["## Planted marks", sampled, _METHOD, _kinds(summary), _heights(summary), _strata(summary)]
        parts += [_confusion(tables["planted"]), _costs(tables["seconds"])]
    if len(tables["eye_images"]):
        parts += ["## Marks boxed by eye", _EYES, _eyes(summary), _per_image(tables)]
    return "\n\n".join(part for part in parts if part) + "\n"


_METHOD = f"""Images are brought to {LONGEST} pixels on the longer side; heights are those of capitals, in pixels
there (figures are scaled along). A mark is found when one box has IoU >= 0.3 with it or covers half of it. New boxes
are those that were not found on the image before planting; a false one touches no planted mark and nothing found
before. What the detectors find on an image before planting is not judged here, real marks being unknown. Precision:
of the new boxes called so, how many find a planted mark of that kind (of any: last line). Brackets: 95 % Wilson
intervals (false boxes: exact Poisson); marks of one image are not independent, so the truth is somewhat wider."""
_EYES = """At the files' own size; printed and placed kinds only. Development: images whose path has an even sha1;
parameters were chosen on them. A box is false when it has IoU < 0.1 with every mark and less than 30 % of it lies on
any."""


def cell(row: pd.Series | None) -> str:
    """``count/n = rate (low-high)``."""
    if row is None or not row["n"]:
        return _NO
    return f"{row['count']}/{row['n']} = {row['rate']:.2f} ({row['low']:.2f}-{row['high']:.2f})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _get(summary: pd.DataFrame, truth: str, measure: str, by: str, value: object) -> str:
    wanted = {"truth": truth, "measure": measure, "by": by, "value": str(value)}
    rows = summary[(summary[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    return cell(rows.iloc[0] if len(rows) else None)


def _kinds(summary: pd.DataFrame) -> str:
    measures = ("recall", "kind_right", "precision")
    rows = [[kind, *(_get(summary, "planted", each, "kind", kind) for each in measures)] for kind in KINDS]
    for label, pool in (("all texts", "texts"), ("all but border, corner", "printed and placed")):
        rows.append([label, _get(summary, "planted", "recall", "all", pool), "", ""])
    rows.append(["all, any kind", "", "", _get(summary, "planted", "precision", "all", "all")])
    false = _get(summary, "planted", "false_boxes", "all", "all")
    return (
        _table(["kind", "found", "called rightly, of those found", "precision"], rows)
        + f"\n\nFalse boxes a copy: {false}."
    )


def _heights(summary: pd.DataFrame) -> str:
    rows = [
        [kind, *(_get(summary, "planted", "recall", f"{kind} by height", str(height)) for height in HEIGHTS)]
        for kind in KINDS
        if (summary["by"] == f"{kind} by height").any()
    ]
    return _table(
        ["found, by height", *(f"{height} px" for height in HEIGHTS[:-1]), f"{HEIGHTS[-1]} px and more"], rows
    )


def _strata(summary: pd.DataFrame) -> str:
    rows = summary[(summary["truth"] == "planted") & (summary["measure"] == "recall") & summary["by"].isin(STRATA)]
    return _table(["texts, by", "", "found"], ([row["by"], row["value"], cell(row)] for _, row in rows.iterrows()))


def _confusion(planted: pd.DataFrame) -> str:
    counts = pd.crosstab(planted["kind"], planted["found_kind"].fillna("missed"))
    heads = [*sorted(set(counts.columns) - {"missed"}), *(["missed"] if "missed" in counts.columns else [])]
    rows = ([kind, *(str(counts.loc[kind, head] or "") for head in heads)] for kind in KINDS if kind in counts.index)
    return _table(["planted as, found as", *heads], rows)


def _costs(seconds: pd.DataFrame) -> str:
    rows = [
        [str(name), str(len(part)), f"{part.median():.3f}", f"{part.quantile(0.9):.3f}"]
        for name, part in seconds.groupby("detector", sort=False)["seconds"]
    ]
    total = seconds.groupby("image")["seconds"].sum()
    rows.append(["all", str(len(total)), f"{total.median():.3f}", f"{total.quantile(0.9):.3f}"])
    return _table(["detector", "images", "process seconds an image, median", "90th percentile"], rows)


def _eyes(summary: pd.DataFrame) -> str:
    halves = ("development", "held back")
    rows = [["all marks", *(_get(summary, half, "recall", "all", "all marks") for half in halves)]]
    rows += [[group, *(_get(summary, half, "recall", "kind", group) for half in halves)] for group in EYE_GROUPS]
    rows.append(["false boxes an image", *(_get(summary, half, "false_boxes", "all", "all") for half in halves)])
    return _table(["", *halves], rows)


def _per_image(tables: Mapping[str, pd.DataFrame]) -> str:
    """Of the development half only: nobody may tune on the images of the other."""
    images = tables["eye_images"][tables["eye_images"]["half"] == "development"]
    marks = tables["eye_marks"].groupby("image")["found"].agg(["sum", "count"])
    rows = []
    for _, row in images.iterrows():
        found, total = marks.loc[row["image"]] if row["image"] in marks.index else (0, 0)
        if found < total or row["false"]:
            rows.append([str(row["image"]), f"{found}/{total}", str(row["false"])])
    return _table(["development images with a miss or a false box", "found", "false boxes"], rows) if rows else ""
