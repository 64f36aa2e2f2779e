"""Findings that are new, gone, or have another status than before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.drift.estimates import Row

_TOLD: Final = ("suspected", "confirmed")

Finding = Mapping[str, Any]


def finding_changes(then: Sequence[Finding], now: Sequence[Finding]) -> list[Row]:
    """One row a kind and class whose status changed to or from suspected or confirmed.

    `change` is "new", "gone", "newly confirmed" or "no longer confirmed"; `finding` is its id in the later audit, null
    where it is not there. What was looked for and not confirmed counts as not there.
    """
    before, after = _by_kind(then), _by_kind(now)
    rows = []
    for kind, label in sorted({*before, *after}):
        was, found = before.get((kind, label)), after.get((kind, label))
        statuses = tuple(
            each["status"] if each is not None and each["status"] in _TOLD else None for each in (was, found)
        )
        change = _CHANGES.get(statuses)
        if change:
            rows.append(
                {"kind": kind, "class": label, "finding": found["id"] if found else None, "change": change}
                | {"then": was["status"] if was else None, "now": found["status"] if found else None}
            )
    return rows


_CHANGES: Final[dict[tuple[str | None, ...], str]] = {
    (None, "suspected"): "new",
    (None, "confirmed"): "newly confirmed",
    ("suspected", "confirmed"): "newly confirmed",
    ("confirmed", "suspected"): "no longer confirmed",
    ("confirmed", None): "gone",
    ("suspected", None): "gone",
}


def _by_kind(findings: Sequence[Finding]) -> dict[tuple[str, str], Finding]:
    return {(str(each["kind"]), str(each.get("class"))): each for each in findings}
