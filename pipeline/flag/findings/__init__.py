"""One ranked list of findings from everything that speaks for or against a shortcut."""

from pipeline.flag.findings.clusters import cluster_findings
from pipeline.flag.findings.lungs import lung_findings
from pipeline.flag.findings.merge import build_findings
from pipeline.flag.findings.regions import RegionEvidence
from pipeline.flag.findings.traits import trait_findings

__all__ = ["RegionEvidence", "build_findings", "cluster_findings", "lung_findings", "trait_findings"]
