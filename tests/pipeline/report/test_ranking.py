"""Ranks and ties that a person can check: a repair that gives back, its twin, a control and one that harms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.config import CompareConfig
from pipeline.errors import EmptyResultError, InputError
from pipeline.report.ranking import rank, ranking_words

CLASSES = ("rest", "covid")
CONFIG = CompareConfig(seeds=3, bootstrap=200)
ARMS = ("none", "good", "twin", "control", "bad")
SIGNAL = {"none": 0.5, "good": 3.0, "twin": 3.0, "control": 0.5, "bad": -1.0}
"""Distance of the classes' scores in standard deviations of the noise."""


def _predictions(
    conditions: tuple[str, ...] = ("marker_swapped", "other_source"), count: int = 120, arms: tuple[str, ...] = ARMS
) -> pd.DataFrame:
    """Noise is shared by all arms and seeds of an image but for a little, as between classifiers of one kind."""
    tables = []
    for condition in conditions:
        rng = np.random.default_rng(len(condition))
        positive = np.arange(count) % 2 == 1
        noise = rng.standard_normal(count)
        for arm in arms:
            for seed in range(3):
                scores = SIGNAL[arm] * positive + noise + 0.05 * rng.standard_normal(count)
                p = 1 / (1 + np.exp(-scores))
                table = pd.DataFrame({"image_id": [f"{condition}-{n:03d}" for n in range(count)]})
                tables.append(
                    table.assign(
                        arm=arm,
                        seed=seed,
                        condition=condition,
                        patient_id=[f"p{n // 2}" for n in range(count)],
                        label=np.where(positive, "covid", "rest"),
                        p_rest=1 - p,
                        p_covid=p,
                    )
                )
    return pd.concat(tables, ignore_index=True)


def _ranked(predictions: pd.DataFrame, **options: object) -> dict[str, dict[str, object]]:
    about = {"arms": ARMS, "baseline": "none", "controls": ("control",), **options}
    found = rank(predictions, "covid", CLASSES, CONFIG, **about)
    return {line["repair"]: line for line in found["ranking"]}


def test_what_gives_back_comes_first_and_what_harms_last() -> None:
    lines = _ranked(_predictions())
    assert {name: line["rank"] for name, line in lines.items() if name in ("control", "bad")} == {
        "control": 3,
        "bad": 4,
    }
    assert [lines[name]["helps"] for name in ("good", "twin", "control", "bad")] == ["yes", "yes", "unclear", "harms"]
    assert "none" not in lines


def test_twins_are_tied_and_a_clear_step_is_not() -> None:
    lines = _ranked(_predictions())
    first, second = sorted((lines["good"], lines["twin"]), key=lambda line: line["rank"])
    assert first["tied_with_next"]
    assert second["tied_with_best"]
    assert not second["tied_with_next"]
    assert lines["bad"]["to_next"] is None
    assert first["to_best"] is None


def test_the_gain_is_the_mean_over_conditions_of_the_difference_of_aurocs() -> None:
    from sklearn.metrics import roc_auc_score

    predictions = _predictions()
    wanted = []
    for _, part in predictions.groupby(["condition", "seed"]):
        by_arm = {arm: roc_auc_score(rows["label"] == "covid", rows["p_covid"]) for arm, rows in part.groupby("arm")}
        wanted.append(by_arm["good"] - by_arm["none"])
    line = _ranked(predictions)["good"]
    assert line["gain"]["mean"] == pytest.approx(np.mean(wanted))
    assert np.mean(line["by_seed"]) == pytest.approx(np.mean(wanted))
    assert np.mean([part["mean"] for part in line["by_condition"].values()]) == pytest.approx(np.mean(wanted))


def test_intervals_hold_the_gain_and_widen_with_fewer_patients() -> None:
    few, many = (_ranked(_predictions(count=count))["good"]["gain"] for count in (40, 400))
    assert many["low"] < many["mean"] < many["high"]
    assert few["high"] - few["low"] > 1.5 * (many["high"] - many["low"])


def test_seeds_that_disagree_widen_the_interval() -> None:
    predictions = _predictions()
    calm = _ranked(predictions)["good"]["gain"]
    unlucky = (predictions["arm"] == "good") & (predictions["seed"] == 2)
    predictions.loc[unlucky, ["p_rest", "p_covid"]] = 0.5
    wild = _ranked(predictions)["good"]["gain"]
    assert wild["high"] - wild["low"] > 2 * (calm["high"] - calm["low"])


def test_one_condition_is_enough_and_said_to_be_half() -> None:
    found = rank(_predictions(("marker_swapped",)), "covid", CLASSES, CONFIG, arms=ARMS, baseline="none")
    assert found["conditions"] == ["marker_swapped"]
    assert any("half of what should decide" in sentence for sentence in ranking_words(found))


def test_without_a_deciding_condition_there_is_no_ranking() -> None:
    with pytest.raises(EmptyResultError, match="nothing to rank"):
        _ranked(_predictions(("raw",)))


def test_an_unknown_baseline_is_refused() -> None:
    with pytest.raises(InputError, match="baseline"):
        _ranked(_predictions(), baseline="before")


def test_words_name_the_best_its_ties_the_harmful_and_the_control() -> None:
    found = rank(_predictions(), "covid", CLASSES, CONFIG, arms=ARMS, baseline="none", controls=("control",))
    first, tied, harmful, *rest = ranking_words(found)
    names = {"good", "twin"}
    assert first.split()[0] in names
    assert tied == f"Indistinguishable from it: {(names - {first.split()[0]}).pop()}."
    assert harmful == "Harmful: bad."
    assert any(sentence.startswith("control gives back") and "as is right" in sentence for sentence in rest)


def test_the_same_predictions_in_another_order_give_the_same_ranking() -> None:
    predictions = _predictions()
    assert _ranked(predictions.sample(frac=1, random_state=0)) == _ranked(predictions)
