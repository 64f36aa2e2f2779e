"""A profile in words for the screen, and as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ORDER = ("label", "positive", "group", "split")


def render_profile(result: Mapping[str, Any]) -> str:
    """The page as HTML text; every string is escaped.

    Args:
        result: what `cxr-audit profile --json` prints.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader("flows"), PackageLoader("pipeline.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    marks = [row for row in result["marks"] or () if row["class"] == result["roles"]["positive"]]
    return environment.get_template("profile.html.j2").render(
        result=result,
        rows=rows_line(result),
        read_as=read_as(result["roles"]),
        records=[(record, column_cells(record, result)) for record in result["records"]],
        marks=[mark_cells(row) for row in marks],
        splits=[(check, examples(check, 8)) for check in result["splits"]],
    )


def rows_line(result: Mapping[str, Any]) -> str:
    """Where every row went; the numbers add up."""
    rows, problems = result["rows"], sum(result["problems"].values())
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in result["problems"].items()) or "none"
    classes = ", ".join(f"{count:,} {name}" for name, count in result["classes"].items())
    patients = result["patients"]
    return (
        f"{rows['read'] + problems:,} rows = {rows['used']:,} used + {rows['repeated']:,} repeated + "
        f"{rows['unlabelled']:,} without a label + {problems:,} that cannot be used ({reasons}). "
        f"Used: {classes}; {patients['known']:,} known patients, {patients['rows_without']:,} rows of unknown ones."
    )


def read_as(roles: Mapping[str, Any]) -> str:
    """How the columns were understood, so that a person can correct it."""
    named = ", ".join(f"{role} {roles[role] or 'unknown'}" for role in ORDER)
    families: dict[str, list[str]] = {}
    for name, family in roles["features"].items():
        families.setdefault(family, []).append(name)
    looked = "; ".join(f"{family}: {', '.join(names)}" for family, names in families.items()) or "none"
    left = "; ".join(f"{name} ({why})" for name, why in roles["left_out"].items()) or "none"
    return (
        f"Read as: {named}. Columns looked at: {looked}. Left out: {left}. "
        "Correct with --label, --positive, --group, --split, --columns."
    )


def column_cells(record: Mapping[str, Any], result: Mapping[str, Any]) -> tuple[str, ...]:
    """Column(s), AUROC, Cramér's V, V by chance, information, missing, q and what they say."""
    association = record["association"]
    row = next((row for row in result["associations"] if [row["column"]] == record["columns"]), None)
    single = row is not None
    information = f"{association['label_entropy_share']:.0%}" if single else "–"
    missing = f"{association['missing_share']:.0%}" if single else "–"
    chance = _number(row["cramers_v_chance"]) if row else "–"
    return (
        " + ".join(record["columns"]),
        _numbers(association["auroc"]),
        _numbers(association["cramers_v"]) if single else "–",
        chance,
        information,
        missing,
        f"{association['q']:.2g}",
        record["strength"],
    )


def mark_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Mark, where it stands, odds ratio and q."""
    return (
        f"{row['kind']} “{row['text']}”" if row["text"] else str(row["kind"]),
        f"{row['marked']:,} of {row['total']:,}",
        f"{row['marked_other']:,} of {row['total_other']:,}",
        f"{row['odds_ratio']:.2f} ({row['odds_low']:.2f} to {row['odds_high']:.2f})",
        f"{row['q_value']:.2g}",
    )


def examples(check: Mapping[str, Any], limit: int) -> str:
    """The first groups of a check, with the patient where it may be shown."""
    patients = check.get("patients") or [None] * len(check["examples"])
    groups = [
        f"{patient}: {', '.join(group)}" if patient else ", ".join(group)
        for patient, group in zip(patients, check["examples"], strict=True)
    ]
    return "; ".join(groups[:limit])


def _numbers(value: Mapping[str, Any] | None) -> str:
    if not value or value["mean"] is None:
        return "–"
    return f"{_number(value['mean'])} ({_number(value['low'])} to {_number(value['high'])})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
