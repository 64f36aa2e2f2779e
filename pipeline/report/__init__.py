"""The comparison of before, after and control, in numbers, in words and as one self-contained page."""

from pipeline.report.compare import compare
from pipeline.report.content import EvidenceTable, Example, ReportInput, make_example
from pipeline.report.evidence import WholeEvidence, evidence_tables
from pipeline.report.metrics import METRICS
from pipeline.report.page import render_report, summary
from pipeline.report.pictures import as_picture, overlay
from pipeline.report.predictions import ARMS, CONDITIONS, VALIDATION, evaluate
from pipeline.report.verdict import verdict

__all__ = [
    "ARMS",
    "CONDITIONS",
    "METRICS",
    "VALIDATION",
    "EvidenceTable",
    "Example",
    "ReportInput",
    "WholeEvidence",
    "as_picture",
    "compare",
    "evaluate",
    "evidence_tables",
    "make_example",
    "overlay",
    "render_report",
    "summary",
    "verdict",
]
