"""The last stage: from all evidence to one ranked list of findings."""

from __future__ import annotations

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
        *({**record, "action": TABLE_ACTION} for record in inspection.records("profile")["records"]),
        *lung_findings(inspection.records("blackout"), dataset.meta.positive),
        *cluster_findings(inspection.records("clusters")),
    ]
    gathered = RegionEvidence(*(inspection.table(name) for name in tables))
    traits = trait_findings(
        dataset, inspection.table("trait_association"), inspection.table("trait_effects"), config.seed
    )
    findings = build_findings(dataset, gathered, config.flag, config.seed, traits=traits, others=others)
    inspection.write_records("findings", {"findings": findings})
