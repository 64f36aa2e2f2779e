"""What changed since an earlier audit, in a report: sentences and the rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.verdict import change, interval

SHOWN = 40
"""Rows of the table; drift.json holds all."""
_SUMMARY = 5
"""Sentences in the summary."""


def drift_sentences(drift: Mapping[str, Any] | None) -> Sequence[str]:
    """The first sentences of drift.json; none where there was no audit to compare with."""
    return drift["words"][:_SUMMARY] if drift and drift["baseline"] else []


def drift_rows(drift: Mapping[str, Any] | None) -> list[tuple[str, ...]]:
    """Cells, the most certain first: what, class, then, now, new images, difference, q, verdict."""
    return [_cells(row) for row in drift["rows"][:SHOWN]] if drift else []


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    new = row.get("new_images")
    return (
        f"{row['about']}: {row['name']}",
        row["class"] or "all",
        *(f"{interval(row[side])}, N = {row[side]['n']:,}" for side in ("then", "now")),
        f"{new['mean']:.2f}, N = {new['n']:,}" if new and new["n"] else "–",
        change(row["difference"]),
        "–" if row["q"] is None else f"{row['q']:.2g}",
        row["verdict"],
    )
