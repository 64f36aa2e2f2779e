"""Suspicious regions and what speaks for them: marks, saliency shares, interventions, associations, findings."""

from pipeline.flag.audit import BEFORE_MAPS, WITH_MAPS, undecided_rows
from pipeline.flag.behaviour.causal import choose_rows, intervene
from pipeline.flag.behaviour.evidence import region_evidence
from pipeline.flag.detect import detect
from pipeline.flag.detect_dataset import REGION_COLUMNS, detect_dataset
from pipeline.flag.findings import build_findings
from pipeline.flag.profile.association import mark_association
from pipeline.flag.profile.profile import Profile, profile_dataset, profile_table
from pipeline.flag.sample import looked_at
from pipeline.flag.stages.inspection import Inspection, Stage

__all__ = [
    "BEFORE_MAPS",
    "REGION_COLUMNS",
    "WITH_MAPS",
    "Inspection",
    "Profile",
    "Stage",
    "build_findings",
    "choose_rows",
    "detect",
    "detect_dataset",
    "intervene",
    "looked_at",
    "mark_association",
    "profile_dataset",
    "profile_table",
    "region_evidence",
    "undecided_rows",
]
