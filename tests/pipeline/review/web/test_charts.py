"""Charts of estimates: where their lines and marks stand."""

from __future__ import annotations

import pytest

from pipeline.review.web.charts import WIDTH, charts, interval_words, percent


def _estimate(low: float, mean: float, high: float, n: int = 28) -> dict[str, float]:
    return {"low": low, "mean": mean, "high": high, "n": n}


def test_a_finding_without_numbers_has_no_chart():
    assert charts({"kind": "outside-lungs", "effect": None, "association": None}, 0.02) == []


def test_the_axis_of_effects_holds_zero_and_what_is_enough():
    [chart] = charts({"class": "opacity", "effect": {"excess": _estimate(0.08, 0.13, 0.19)}}, 0.02)
    none, enough = chart.references
    [bar] = chart.bars
    assert (none.words, enough.words) == ("none", "enough: 0.02")
    assert 0 < none.at < enough.at < bar.low < bar.mean < bar.high < WIDTH
    assert (enough.at - none.at) / (bar.low - none.at) == pytest.approx(0.02 / 0.08, rel=0.01)
    assert bar.words == "0.130 (0.080 to 0.190), N = 28"


def test_an_unknown_threshold_is_not_drawn():
    [chart] = charts({"effect": {"excess": _estimate(-0.1, 0.0, 0.1)}}, None)
    assert [mark.words for mark in chart.references] == ["none"]


def test_odds_ratios_stand_on_a_logarithmic_axis():
    [chart] = charts({"association": {"odds_ratio": _estimate(0.1, 1.0, 10.0)}}, None)
    [bar] = chart.bars
    assert bar.mean - bar.low == pytest.approx(bar.high - bar.mean)
    assert chart.references[0].at == bar.mean


def test_an_interval_that_leaves_the_axis_is_cut_and_says_so():
    [chart] = charts({"association": {"odds_ratio": _estimate(100.0, 1e5, 1e9)}}, None)
    [bar] = chart.bars
    assert (bar.cut_low, bar.cut_high, bar.high) == (False, True, WIDTH)


def test_prevalence_goes_from_none_to_all():
    shares = {"clear": _estimate(0.0, 0.25, 0.5), "opacity": _estimate(0.9, 0.95, 1.0)}
    [chart] = charts({"association": {"prevalence": shares}}, None)
    assert [bar.label for bar in chart.bars] == ["clear", "opacity"]
    assert (chart.bars[0].low, chart.bars[0].mean, chart.bars[1].high) == (0.0, WIDTH / 4, WIDTH)


def test_estimates_that_are_not_known_are_left_out():
    table = {"auroc": {"mean": None, "low": None, "high": None, "n": 680}, "value": None}
    assert charts({"association": table}, None) == []


def test_numbers_are_said_with_interval_and_n():
    assert interval_words(_estimate(48.07, 147.9, 454.99, 1310)) == "147.90 (48.07 to 454.99), N = 1,310"
    assert percent(_estimate(0.167, 0.226, 0.298, 155)) == "23% (17% to 30%), N = 155"
