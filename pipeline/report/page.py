"""One self-contained HTML page: no script, no network, no time stamp; the same content gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.report.content import Example, ReportInput
from pipeline.report.drift import drift_rows, drift_sentences
from pipeline.report.figures import DARK, LIGHT, TITLES, comparison_figure, reliability_figure
from pipeline.report.groups import MIN_SUPPORT
from pipeline.report.method import method
from pipeline.report.metrics import METRICS
from pipeline.report.news import news_rows, news_sentences
from pipeline.report.pictures import panes
from pipeline.report.tables import characteristics, composition, group_rows, held_back, reasons
from pipeline.report.verdict import NAMES, alarms, change, cleansing, direction, interval, number, verdict

MAX_EXAMPLES = 24
"""Examples with pictures in one report; the rest is counted as omitted."""

_TELLING = 0.8
"""AUROC of a check from which the summary speaks of it."""
_STATUS_ORDER = ("confirmed", "accepted", "suspected", "keep", "rejected", "not-confirmed")
_SHOWN_APART = {
    "id",
    "kind",
    "text",
    "status",
    "title",
    "summary",
    "action",
    "for",
    "against",
    "where",
    "transplant",
    "class",
}

STATUS_MEANING = {
    "confirmed": "taking it away, or moving it, changes the class probability more than matched controls do",
    "accepted": "a reviewer decided to remove it",
    "suspected": "saliency or association points at it; no causal test has confirmed it",
    "keep": "a reviewer decided to keep it",
    "rejected": "a reviewer found it harmless or wrong",
    "not-confirmed": "looked for; nothing that speaks for it survives its test",
}


def render_report(content: ReportInput) -> str:
    """The page as HTML text; every string of `content` is escaped.

    Holds at most `MAX_EXAMPLES` examples, spread over the findings, and says how many it left out.
    """
    environment = Environment(
        loader=PackageLoader("pipeline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        show=show, words=words, interval=interval, change=change, direction=direction, fixed=number
    )
    environment.tests["nested"] = lambda value: isinstance(value, Mapping) and not _has_interval(value)
    shown = pick_examples(content.examples, MAX_EXAMPLES)
    return environment.get_template("report.html.j2").render(
        report=content,
        sentences=summary(content),
        news=news_sentences(content.grown),
        news_rows=news_rows(content.grown),
        drift_rows=drift_rows(content.drift),
        alarms=alarms(content.fingerprint),
        composition=composition(content.images, content.dataset.classes),
        characteristics=characteristics(content.images),
        method=method(content),
        reasons=reasons(content.problems),
        findings=[_card(finding, shown) for finding in sort_findings(content.findings)],
        omitted=len(content.examples) - len(shown),
        status_meaning=STATUS_MEANING,
        held_back=held_back(content.held_back),
        figures=None if content.comparison is None else _figures(content.comparison),
        group_rows=group_rows,
        smallest_group=MIN_SUPPORT,
        conditions=TITLES,
        metrics=METRICS,
        names=NAMES,
    )


def summary(content: ReportInput) -> list[str]:
    """The verdict in words: what was found, then what removing it did."""
    by_status = pd.Series([finding["status"] for finding in content.findings], dtype="object").value_counts()
    counts = ", ".join(f"{by_status[name]} {name}" for name in _STATUS_ORDER if name in by_status)
    total = len(content.findings)
    found = f"{total} finding{'' if total == 1 else 's'} ({counts})" if total else "No finding"
    sentences = [f"{found} in {len(content.images):,} images of {content.dataset.title}."]
    sentences += [*news_sentences(content.grown)[:1], *drift_sentences(content.drift), *leaks(content.checks)]
    if content.comparison is not None:
        sentences += (content.plan or {}).get("exceptions", {}).get("warnings", ())
        return [*sentences, *cleansing(content.fingerprint, content.residual), *verdict(content.comparison)]
    if content.review_hint is not None:
        return [*sentences, f"The findings await review: {content.review_hint}"]
    return [*sentences, "Nothing was removed and nothing retrained, so no claim about a gain is made here."]


def leaks(checks: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence when something outside the pixels gives the label away: removing characters does not remove it."""
    telling = [
        f"{check['check'].removeprefix('label from ')} (AUROC {show(check['value'])})"
        for check in checks
        if str(check["check"]).startswith("label from") and _mean_of(check["value"]) >= _TELLING
    ]
    if not telling:
        return []
    return [
        f"The label can be told without looking at the image, from {', from '.join(telling)}. A classifier may learn "
        "to recognise where an image comes from; removing characters does not remove that."
    ]


def _mean_of(value: Any) -> float:
    return float(value["mean"]) if isinstance(value, Mapping) and value.get("mean") is not None else 0.0


def sort_findings(findings: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Confirmed first; within a status the order of findings.json."""
    return sorted(findings, key=lambda finding: _STATUS_ORDER.index(finding["status"]))


def pick_examples(examples: Sequence[Example], limit: int) -> list[Example]:
    """The first example of each finding, then the second of each, and so on up to `limit`."""
    rank: dict[str, int] = {}
    ranked = []
    for example in examples:
        rank[example.finding] = rank.get(example.finding, -1) + 1
        ranked.append((rank[example.finding], example))
    return [example for _, example in sorted(ranked, key=lambda pair: pair[0])][:limit]


def show(value: Any) -> str:
    """A value for a table: ``0.87 (0.81–0.92), N = 40``, ``1,234``, ``0.031`` or a dash for unknown."""
    if value is None or value is pd.NA or value != value:
        return "–"
    if isinstance(value, Mapping) and not _has_interval(value):
        return ", ".join(f"{words(str(key))} {show(part)}" for key, part in value.items())
    if isinstance(value, Mapping):
        numbers = {**value, "mean": value.get("mean", value.get("value"))}
        count = f", N\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{value['n']:,}" if value.get("n") is not None else ""
        return f"{interval(numbers)}{count}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3g}".replace("-", "−", 1) if value < 0 else f"{value:.3g}"
    return ", ".join(map(show, value)) if isinstance(value, (list, tuple)) else str(value)


def words(key: str) -> str:
    """``q_value`` -> ``q value``."""
    return key.replace("_", " ")


def _card(finding: Mapping[str, Any], shown: Sequence[Example]) -> dict[str, Any]:
    quoted = f" “{finding['text']}”" if finding.get("text") else ""
    facts = {
        key: value
        for key, value in finding.items()
        if key not in _SHOWN_APART and isinstance(value, (Mapping, int, float, str))
    }
    return {
        "id": finding["id"],
        "title": finding.get("title") or f"{finding['kind']}{quoted}",
        "status": finding["status"],
        "class": finding.get("class"),
        "summary": finding.get("summary"),
        "action": finding.get("action"),
        "reasons": {name: list(finding.get(key, ())) for name, key in (("For", "for"), ("Against", "against"))},
        "facts": facts,
        "examples": [(each, panes(each)) for each in shown if each.finding == finding["id"]],
    }


def _has_interval(value: Any) -> bool:
    return isinstance(value, Mapping) and "low" in value and "high" in value


def _figures(comparison: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    drawn = {"comparison": comparison_figure, "reliability": reliability_figure}
    return {name: {"light": draw(comparison, LIGHT), "dark": draw(comparison, DARK)} for name, draw in drawn.items()}
