"""Suspicious regions and what speaks for them: marks, saliency shares, interventions, associations, findings."""

from pipeline.flag.behaviour.causal import choose_rows, intervene
from pipeline.flag.behaviour.evidence import region_evidence
from pipeline.flag.detect import detect
from pipeline.flag.detect_dataset import REGION_COLUMNS, detect_dataset
from pipeline.flag.findings import build_findings
from pipeline.flag.profile.association import label_leakage, mark_association

__all__ = [
    "REGION_COLUMNS",
    "build_findings",
    "choose_rows",
    "detect",
    "detect_dataset",
    "intervene",
    "label_leakage",
    "mark_association",
    "region_evidence",
]
