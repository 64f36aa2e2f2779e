"""Why a verdict was wrong, from its numbers."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline.benchmark.shortcuts.reasons import why_confirmed, why_missed
from pipeline.config import FlagConfig

MISSED = {
    "learnt": True,
    "drop": 0.3,
    "mark_found": 0.9,
    "mark_named": 0.9,
    "found_as": "word",
    "confirmed_kinds": "",
    "status": "suspected",
    "effect": 0.2,
    "effect_low": -0.01,
    "q": 0.01,
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "interval of the effect 0.200 reaches down to -0.010"),
        ({"q": 0.2}, "q = 0.2 above 0.05"),
        ({"effect": 0.01}, "effect 0.010 below 0.02"),
        ({"learnt": False, "drop": 0.02}, "not learnt: AUROC on the swapped test fell by 0.020 only"),
        ({"mark_found": 0.25}, "mark not detected on 75% of its images"),
        ({"mark_named": 0.1, "found_as": "date"}, "mark found as date, under its own kind on 10%"),
        ({"mark_named": 0.1, "found_as": "date", "confirmed_kinds": "date"}, "mark found as date, which is confirmed"),
        ({"status": None}, "no finding of its kind"),
        ({"mark_found": None, "effect": None}, "its effect could not be measured"),
    ],
)
def test_why_missed(change: dict, said: str):
    assert said in why_missed({**MISSED, **change}, FlagConfig())


def test_a_false_alarm_says_whether_the_base_has_it_already():
    finding = {"kind": "device", "class": "sick", "effect": {"excess": {"mean": 0.1}, "q": 0.001}}
    row = {"kind": "device", "class": "sick", "text": None, "q_value": 0.001, "odds_low": 2.0, "odds_ratio": 5.0}
    native = pd.DataFrame([row])
    assert "in the base images too it goes with that class (odds ratio 5.0)" in why_confirmed(
        [finding], native, FlagConfig()
    )
    said = why_confirmed([finding], native.assign(odds_low=0.5), FlagConfig())
    assert said == "device for sick: effect 0.100, q = 0.001"
