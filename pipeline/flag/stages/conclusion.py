"""The last stage: from all evidence to one ranked list of findings."""

from __future__ import annotations

from typing import Any

from pipeline.flag.findings import RegionEvidence, build_findings, cluster_findings, lung_findings, trait_findings
from pipeline.flag.stages.inspection import Inspection

TABLE_ACTION = (
    "Nothing can be removed from pictures: balance the classes over it when training, or report results within each of "
    "its values."
)


def conclude(inspection: Inspection) -> None:
    """findings.json."""
    dataset, config = inspection.dataset, inspection.config
    tables = ("regions", "association", "evidence", "effects", "transplants")
    others = [
        *({**each, "action": TABLE_ACTION} for each in inspection.records("profile")["records"] if _told(each)),
        *lung_findings(inspection.records("blackout"), dataset.meta.positive),
        *cluster_findings(inspection.records("clusters")),
    ]
    gathered = RegionEvidence(*(inspection.table(name) for name in tables))
    traits = trait_findings(
        dataset, inspection.table("trait_association"), inspection.table("trait_effects"), config.seed
    )
    findings = build_findings(dataset, gathered, config.flag, config.seed, traits=traits, others=others)
    inspection.write_records("findings", {"findings": findings})


def _told(record: dict[str, Any]) -> bool:
    """Columns that tell nothing stay in profile.json."""
    return bool(record["status"] != "not-confirmed")
