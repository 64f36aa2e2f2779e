"""Cleansing: from decided findings to data-set versions without the marks, and to the controls that test the gain."""

from pipeline.cleanse.apply import apply_plan
from pipeline.cleanse.control import random_control
from pipeline.cleanse.fingerprint import check_fingerprint
from pipeline.cleanse.held_back import held_back_table, hold_back
from pipeline.cleanse.impact import recounted
from pipeline.cleanse.lungs import Lungs
from pipeline.cleanse.plan import ClassImpact, Exceptions, Plan, PlanLine, regions_to_clean
from pipeline.cleanse.planning import draft_plan, make_plan
from pipeline.cleanse.probe import cleansing_probe
from pipeline.cleanse.residual import check_residual, filled_rows
from pipeline.cleanse.reviewed import with_reviewed
from pipeline.cleanse.swap import marker_swapped

__all__ = [
    "ClassImpact",
    "Exceptions",
    "Lungs",
    "Plan",
    "PlanLine",
    "apply_plan",
    "check_fingerprint",
    "check_residual",
    "cleansing_probe",
    "draft_plan",
    "filled_rows",
    "held_back_table",
    "hold_back",
    "make_plan",
    "marker_swapped",
    "random_control",
    "recounted",
    "regions_to_clean",
    "with_reviewed",
]
