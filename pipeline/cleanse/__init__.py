"""Cleansing: from accepted findings to data-set versions without the marks, and to the controls that test the gain."""

from pipeline.cleanse.apply import apply_plan, random_control
from pipeline.cleanse.plan import ClassCount, Plan, PlanLine, make_plan, regions_to_clean
from pipeline.cleanse.probe import cleansing_probe
from pipeline.cleanse.swap import marker_swapped

__all__ = [
    "ClassCount",
    "Plan",
    "PlanLine",
    "apply_plan",
    "cleansing_probe",
    "make_plan",
    "marker_swapped",
    "random_control",
    "regions_to_clean",
]
