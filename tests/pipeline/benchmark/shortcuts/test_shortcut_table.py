"""The tables of the page."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline.benchmark.shortcuts.table import median, rate, render_table


def trial(name: str, arm: str, confirmed: bool, **more: object) -> dict[str, object]:
    metrics = dict.fromkeys(("won_precision", "won_recall", "won_f1", "won_auroc"))
    return {
        "id": f"{name}-{arm}", "arm": arm, "mark": name, "kind": name, "polarity": "bright", "place": "fixed",
        "strength": 1.0, "target": "sick", "confirmed": confirmed, "confirmed_kinds": "", "learnt": True,
        "mark_found": 1.0, "mark_confirmed": 0.0, "mark_iou": 0.5, "pointing": 0.75, "pointing_n": 4,
        "image_precision": 1.0, "image_recall": 0.5, "reason": None, **metrics, **more,
    }  # fmt: skip


@pytest.fixture
def trials() -> pd.DataFrame:
    rows = [
        trial("word", "planted", True, won_f1=0.9, won_recall=0.8),
        trial("side", "planted", False, learnt=False, won_f1=0.0, mark_confirmed=0.9, reason="not learnt"),
        trial("date", "planted", False, strength=0.6, learnt=False, reason="not learnt"),
        trial("exposure", "planted", True, mark_found=None, mark_iou=None, pointing=None, pointing_n=0, place=None),
        trial("word", "random", True, strength=0.5, confirmed_kinds="side", reason="side for sick: effect 0.1"),
        trial("none", "none", False, mark=None, kind=None, strength=None),
    ]
    return pd.DataFrame(rows).convert_dtypes()


def test_rate_and_median():
    assert rate(pd.Series([True, True, True, False])) == "75% (30% to 95%), 3/4"  # Wilson: 0.3006 to 0.9544
    assert rate(pd.Series([None, True])).endswith("1/1")
    assert rate(pd.Series([None])) == "–"
    assert median(pd.Series([0.0, 0.5, 1.0, None])) == "50% (quartiles 25% to 75%), N = 3"


def test_the_targets_are_about_strong_shortcuts_and_all_controls(trials: pd.DataFrame):
    lines = render_table(trials).splitlines()
    told = {line.split(" | ")[0].removeprefix("| "): line for line in lines if " | " in line}
    assert "67% (21% to 94%), 2/3" in told["strong shortcuts (strength at least 0.9) confirmed"]
    assert "2/2" in told["of these, those the classifier learnt"]
    assert "1/2" in told["strong shortcuts that have a place"]
    assert "3/3" in told["strong shortcuts confirmed under whatever name"]
    assert "1/2" in told["controls falsely confirmed"]
    assert "45% (quartiles 22% to 68%), N = 2" in told["f1 won back, characters (median)"]
    assert "0/1" in told["characters at random"]


def test_every_wrong_verdict_is_listed_with_its_reason(trials: pd.DataFrame):
    text = render_table(trials)
    wrong = text.split("### Wrong verdicts")[1]
    assert wrong.count("\n| ") == 5  # heading, rule and three
    assert "| word-random | side | side for sick: effect 0.1 |" in wrong


def test_rows_have_as_many_cells_as_their_head(trials: pd.DataFrame):
    for section in render_table(trials).split("### ")[1:]:
        widths = {line.count("|") for line in section.splitlines() if line.startswith("|")}
        assert len(widths) == 1
