"""What Prefect shows of a run: links, its summary, and a table of its findings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from flows.results import RunState
from flows.review.address import review_url
from pipeline.artifacts import read_json

MOST = 100
"""Rows of the table at most; the report has all."""


def leave_artifacts(run: Path, state: RunState, words: list[str]) -> None:
    """Links, summary and findings of a run that has ended."""
    leave_links(run, state)
    create_markdown_artifact(key="summary", markdown="\n\n".join([f"# {state}", *map(as_markdown, words)]))
    findings = read_json(run / "findings.json")["findings"]
    shown = f"the first {MOST} of {len(findings)}" if len(findings) > MOST else f"{len(findings)}"
    rows = [_row(finding) for finding in findings[:MOST]]
    create_table_artifact(key="findings", table=rows, description=f"Findings of run {run.name}: {shown}")


def as_markdown(text: str) -> str:
    """`text` as Markdown that shows it as it is: names of classes may hold links, pictures and HTML."""
    return re.sub(r"([\\`*_\[\]<>!#|~&])", r"\\\1", text)


def leave_links(run: Path, state: RunState) -> None:
    """Link artifacts in Prefect: to the report, and to the review page while a review is due."""
    report = (run / "report.html").as_uri()
    create_link_artifact(key="report", link=report, link_text=f"Report of run {run.name}", description=state)
    if state == "awaiting review":
        create_link_artifact(
            key="review", link=review_url(run.name), link_text=f"Review of run {run.name}", description=state
        )


def _row(finding: dict[str, Any]) -> dict[str, Any]:
    effect = finding.get("effect") or {}
    return {
        "id": finding["id"],
        "kind": finding["kind"],
        "class": finding.get("class"),
        "status": finding["status"],
        "images": finding.get("images"),
        "effect beyond controls": _interval(effect.get("excess")),
        "q": effect.get("q"),
    }


def _interval(value: dict[str, Any] | None) -> str | None:
    """As `0.38 (0.28 to 0.49), N = 13`."""
    if not value or value.get("mean") is None:
        return None
    bounds = "" if value["low"] is None else f" ({value['low']:.2f} to {value['high']:.2f})"
    return f"{value['mean']:.2f}{bounds}, N = {value['n']}"
