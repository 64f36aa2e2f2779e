"""Everything found, as one ranked list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from pipeline.config import FlagConfig
from pipeline.dataset import DatasetVersion
from pipeline.flag.findings.regions import RegionEvidence, region_findings
from pipeline.flag.findings.traits import judged_trait
from pipeline.flag.findings.verdicts import Finding, judged
from pipeline.types import FindingStatus

_RANK: dict[FindingStatus, int] = {"confirmed": 0, "suspected": 1, "not-confirmed": 2}


def build_findings(
    dataset: DatasetVersion,
    gathered: RegionEvidence,
    config: FlagConfig,
    seed: int,
    *,
    traits: Sequence[Finding] = (),
    others: Sequence[Finding] = (),
) -> list[Finding]:
    """JSON-ready findings, strongest first, with ids F01, F02, ...

    Regions and traits have causal tests: their false discovery rate is controlled together (Benjamini-Hochberg over
    one p-value a kind). What rests on tables, clusters or black-outs alone can be suspected, never confirmed.

    Args:
        dataset: classes and patients.
        gathered: the tables of region findings.
        config: thresholds.
        seed: of the run.
        traits: findings on image-wide traits, complete but for q and status; `effect` holds p.
        others: findings without a causal test, complete with status and words.
    """
    regions = region_findings(dataset, gathered, config, seed)
    _add_q([*regions, *traits])
    findings = [judged(finding, config) for finding in regions]
    marked = frozenset(finding["class"] for finding in findings if finding["status"] == "confirmed")
    findings += [judged_trait(finding, config, marked) for finding in traits]
    findings += [dict(finding) for finding in others]
    findings.sort(key=_strength)
    return [{"id": f"F{number:02d}", **finding} for number, finding in enumerate(findings, start=1)]


def _add_q(findings: Sequence[Finding]) -> None:
    tested = [finding["effect"] for finding in findings if finding["effect"]["p"] is not None]
    q = stats.false_discovery_control([effect["p"] for effect in tested]) if tested else []
    for finding in findings:
        finding["effect"]["q"] = None
    for effect, value in zip(tested, q, strict=True):
        effect["q"] = float(value)


def _strength(finding: Finding) -> tuple[int, float, float, str]:
    """Sort key: status, then excess effect, then odds ratio, largest first."""
    effect: dict[str, Any] = finding.get("effect") or {}
    size, association = effect.get("excess"), finding.get("association") or {}
    ratio = (association.get("odds_ratio") or {}).get("mean") or 0.0
    return _RANK[finding["status"]], -(size["mean"] if size else -np.inf), -ratio, finding["kind"]
