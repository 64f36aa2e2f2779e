"""Why an audit missed a planted shortcut, or confirmed one where none was planted: a sentence made of its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pipeline.benchmark.shortcuts.score import kind_of
from pipeline.config import FlagConfig

LEARNT = 0.05
"""A classifier has learnt a shortcut when its AUROC on the marker-swapped test lies this far below the reference."""
MOSTLY = 0.5


def why_missed(record: Mapping[str, Any], config: FlagConfig) -> str:
    """What kept the planted kind from being confirmed, everything that applies, nearest to the cause first."""
    reasons = []
    if not record["learnt"]:
        reasons.append(f"not learnt: AUROC on the swapped test fell by {_shown(record['drop'])} only")
    found, named = record["mark_found"], record["mark_named"]
    if found is not None and found < MOSTLY:
        reasons.append(f"mark not detected on {1 - found:.0%} of its images")
    elif found is not None and named < MOSTLY:
        other = record["found_as"]
        also = ", which is confirmed" if other in str(record["confirmed_kinds"]).split("|") else ""
        reasons.append(f"mark found as {other}{also}, under its own kind on {named:.0%} of its images only")
    return "; ".join(reasons + _verdict(record, config))


def _verdict(record: Mapping[str, Any], config: FlagConfig) -> list[str]:
    effect, q, low = record["effect"], record["q"], record["effect_low"]
    if record["status"] is None:
        return ["no finding of its kind"]
    if effect is None:
        return ["its effect could not be measured"]
    if effect < config.min_effect:
        return [f"effect {effect:.3f} below {config.min_effect}"]
    if q is not None and q > config.fdr:
        return [f"q = {q:.2g} above {config.fdr}"]
    return [f"interval of the effect {effect:.3f} reaches down to {_shown(low)}"]


def why_confirmed(confirmed: Sequence[Mapping[str, Any]], native: pd.DataFrame, config: FlagConfig) -> str:
    """For every finding confirmed without cause: its numbers, and whether the base images have it already.

    Args:
        confirmed: the findings.
        native: association of marks and classes on the base images, from `mark_association`.
        config: the audit's thresholds.
    """
    return "; ".join(_false_alarm(finding, native, config) for finding in confirmed)


def _false_alarm(finding: Mapping[str, Any], native: pd.DataFrame, config: FlagConfig) -> str:
    kind, tied_to = kind_of(finding), finding.get("class")
    effect = finding["effect"]
    excess = (effect.get("excess") or {}).get("mean")
    said = f"{kind} for {tied_to}: effect {_shown(excess)}, q = {_shown(effect.get('q'))}"
    rows = native[(native["kind"] == kind) & (native["class"] == tied_to) & native["text"].isna()]
    if len(rows) and rows["q_value"].iloc[0] <= config.fdr and rows["odds_low"].iloc[0] > 1:
        return f"{said}; in the base images too it goes with that class (odds ratio {rows['odds_ratio'].iloc[0]:.1f})"
    return said


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
