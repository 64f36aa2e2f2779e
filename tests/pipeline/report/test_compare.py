"""The comparison against answers by hand, and its intervals against simulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from models.spec import ModelSpec
from pipeline.artifacts import canonical_json
from pipeline.config import CompareConfig
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.errors import EmptyResultError, InputError
from pipeline.report import compare, evaluate

CONFIG = CompareConfig(bootstrap=200)
CLASSES = ("rest", "covid")
Predictions = Callable[..., pd.DataFrame]


def table(p_covid: list[float], labels: list[str], arm: str = "before", seed: int = 0, **more: Any) -> pd.DataFrame:
    frame = pd.DataFrame({"p_covid": p_covid, "label": labels})
    return frame.assign(
        p_rest=1 - frame["p_covid"],
        arm=arm,
        seed=seed,
        condition="raw",
        image_id=[f"i{n}" for n in range(len(labels))],
        patient_id=[f"p{n}" for n in range(len(labels))],
    ).assign(**more)


LABELS = ["covid", "covid", "covid", "rest", "rest"]


def test_metrics_by_hand() -> None:
    # called positive: .9 .6 | .7 -> 2 hits, 1 miss, 1 false alarm
    found = compare(table([0.9, 0.6, 0.3, 0.7, 0.2], LABELS), "covid", CLASSES, CONFIG)["conditions"]["raw"]
    assert found["before"]["precision"]["mean"] == pytest.approx(2 / 3)
    assert found["before"]["recall"]["mean"] == pytest.approx(2 / 3)
    assert found["before"]["f1"]["mean"] == pytest.approx(2 / 3)
    # pairs won: .9 beats both, .6 beats .2, .3 beats .2 -> 4 of 6
    assert found["before"]["auroc"]["mean"] == pytest.approx(4 / 6)
    assert (found["n"], found["positives"], found["patients"]) == (5, 3, 5)


def test_mean_is_over_seeds() -> None:
    both = pd.concat([table([0.9, 0.9, 0.9, 0.1, 0.1], LABELS), table([0.9, 0.1, 0.1, 0.1, 0.1], LABELS, seed=1)])
    recall = compare(both, "covid", CLASSES, CONFIG)["conditions"]["raw"]["before"]["recall"]
    assert recall["by_seed"] == pytest.approx([1, 1 / 3])
    assert recall["mean"] == pytest.approx(2 / 3)


def test_precision_without_a_positive_call_is_null_and_counted() -> None:
    found = compare(table([0.1] * 5, LABELS), "covid", CLASSES, CONFIG)["conditions"]["raw"]["before"]
    assert found["precision"] == {
        "mean": None,
        "low": None,
        "high": None,
        "undefined_resamples": 200,
        "by_seed": [None],
    }
    assert found["recall"]["mean"] == 0


def test_undefined_in_some_resamples_is_counted() -> None:
    found = compare(table([0.9, 0.1, 0.1, 0.1, 0.1], LABELS), "covid", CLASSES, CONFIG)["conditions"]["raw"]["before"]
    # image 0, the only positive call, is absent from a resample with probability (4/5)^5 = 0.33
    assert 40 < found["precision"]["undefined_resamples"] < 92
    assert found["precision"]["mean"] == 1


def test_three_classes_take_the_largest_probability() -> None:
    frame = table([0.4, 0.4], ["covid", "rest"], p_other=[0.3, 0.5])
    frame["p_rest"] = 1 - frame["p_covid"] - frame["p_other"]
    result = compare(frame, "covid", ("rest", "covid", "other"), CONFIG)
    assert result["decision"] == "class of largest probability"
    assert result["conditions"]["raw"]["before"]["precision"]["mean"] == 1


def test_equal_arms_differ_by_exactly_nothing() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.random(60).tolist(), ["covid", "rest"] * 30
    both = pd.concat([table(scores, labels), table(scores, labels, arm="after")])
    difference = compare(both, "covid", CLASSES, CONFIG)["conditions"]["raw"]["differences"]["after-before"]
    assert all((value["mean"], value["low"], value["high"]) == (0, 0, 0) for value in difference.values())


def test_pairing_narrows_the_difference(simulated: Predictions) -> None:
    shifts = {"raw": {"before": 1.0, "after": 1.1}}
    found = compare(simulated(shifts=shifts), "covid", CLASSES, CONFIG)["conditions"]["raw"]
    alone = found["before"]["auroc"]["high"] - found["before"]["auroc"]["low"]
    paired = found["differences"]["after-before"]["auroc"]
    assert paired["high"] - paired["low"] < 0.6 * alone


def test_patients_widen_the_interval(simulated: Predictions) -> None:
    frame = simulated(shifts={"raw": {"before": 1.0}})
    doubled = pd.concat([frame, frame.assign(image_id=frame["image_id"] + "-again")])
    by_patient = compare(doubled, "covid", CLASSES, CONFIG)["conditions"]["raw"]["before"]["recall"]
    as_images = compare(doubled.assign(patient_id=None), "covid", CLASSES, CONFIG)["conditions"]["raw"]
    as_images = as_images["before"]["recall"]
    assert by_patient["high"] - by_patient["low"] > 1.3 * (as_images["high"] - as_images["low"])


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    hits = 0
    for trial in range(100):
        positive = np.repeat(rng.random(60) < 0.5, 2)
        called = np.repeat(rng.random(60) < 0.7, 2)  # true recall 0.7, both images of a patient alike
        frame = table(np.where(called, 0.9, 0.1).tolist(), np.where(positive, "covid", "rest").tolist())
        frame["patient_id"] = [f"p{n // 2}" for n in range(120)]
        recall = compare(frame, "covid", CLASSES, CompareConfig(bootstrap=200), seed=trial)["conditions"]["raw"]
        hits += recall["before"]["recall"]["low"] <= 0.7 <= recall["before"]["recall"]["high"]
    assert 85 <= hits <= 100


def test_order_of_rows_and_arms_changes_nothing(simulated: Predictions) -> None:
    frame = simulated(n=60, other=20)
    shuffled = frame.sample(frac=1, random_state=3)
    first, second = (compare(each, "covid", CLASSES, CONFIG) for each in (frame, shuffled))
    assert canonical_json(first) == canonical_json(second)
    assert canonical_json(compare(frame, "covid", CLASSES, CONFIG, seed=1)) != canonical_json(first)


def test_schema(comparison: dict[str, Any]) -> None:
    assert list(comparison["conditions"]) == ["raw", "cleansed", "marker_swapped", "other_source"]
    assert comparison["seeds"] == [0, 1, 2]
    for condition in comparison["conditions"].values():
        for arm in ("before", "after", "control"):
            assert list(condition[arm]) == ["precision", "recall", "specificity", "f1", "auroc", "brier", "ece"]
            for value in condition[arm].values():
                assert value["low"] <= value["mean"] <= value["high"]
    swapped = comparison["conditions"]["marker_swapped"]
    assert swapped["after"]["auroc"]["low"] > swapped["before"]["auroc"]["high"]
    assert swapped["differences"]["after-before"]["auroc"]["mean"] == pytest.approx(
        swapped["after"]["auroc"]["mean"] - swapped["before"]["auroc"]["mean"]
    )


def test_any_arms_against_any_baseline(simulated: Predictions) -> None:
    shifts = {"raw": {"crop to lungs": 1.0, "nothing": 0.5, "telea": 1.5}}
    frame = simulated(shifts=shifts, n=60)
    found = compare(frame, "covid", CLASSES, CONFIG, arms=("nothing", "telea", "crop to lungs"), baseline="nothing")
    assert found["arms"] == ["nothing", "telea", "crop to lungs"]
    raw = found["conditions"]["raw"]
    assert list(raw["differences"]) == list(raw["tests"]) == ["telea-nothing", "crop to lungs-nothing"]
    expected = raw["telea"]["auroc"]["mean"] - raw["nothing"]["auroc"]["mean"]
    assert raw["differences"]["telea-nothing"]["auroc"]["mean"] == pytest.approx(expected)


def test_a_rate_of_one_in_every_seed_has_wilsons_interval() -> None:
    found = compare(table([0.9, 0.9, 0.9, 0.7, 0.2], LABELS), "covid", CLASSES, CONFIG)["conditions"]["raw"]["before"]
    assert (found["recall"]["mean"], found["recall"]["high"]) == (1, 1)
    assert found["recall"]["low"] == pytest.approx(3 / (3 + 1.959964**2))  # Wilson for 3 of 3
    assert found["specificity"]["mean"] == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="p_rest"), "lack the columns p_rest"),
        (lambda t: t.assign(arm="later"), "Unknown arm later. Allowed: before, after, control"),
        (lambda t: t.assign(label="flu"), "Unknown label flu"),
        (lambda t: t.assign(p_covid=np.nan), "probabilities are missing"),
        (lambda t: pd.concat([t, t]), "predicted twice"),
        (lambda t: pd.concat([t, t[:3].assign(arm="after")]), "after was tested on other images"),
        (lambda t: pd.concat([t, t.assign(arm="after", seed=5)]), "different seeds"),
    ],
)
def test_bad_predictions_are_named(change: Callable[[pd.DataFrame], pd.DataFrame], message: str) -> None:
    with pytest.raises(InputError, match=message):
        compare(change(table([0.9, 0.6, 0.3, 0.7, 0.2], LABELS)), "covid", CLASSES, CONFIG)


def test_no_predictions_is_an_error() -> None:
    with pytest.raises(EmptyResultError, match="no predictions"):
        compare(table([], []), "covid", CLASSES, CONFIG)


def test_evaluate_gives_class_columns(tmp_path: Any) -> None:
    class Brightness(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            mean = images.mean(dim=(1, 2, 3))
            return torch.stack([-mean, mean], dim=1)

    meta = DatasetMeta("d", "v", "D", CLASSES, "covid", 8, "uint8")
    images = pd.DataFrame({"image_id": ["a", "b"], "patient_id": ["p", None], "label": ["rest", "covid"]})
    with write_version(tmp_path / "d", 8, "uint8") as writer:
        full = images.reindex(columns=list(IMAGE_COLUMNS))
        writer.write_shard(0, full, np.stack([np.zeros((8, 8)), np.full((8, 8), 255)]).astype(np.uint8))
        writer.finish(meta, full, 1)
    spec = ModelSpec("brightness", CLASSES, (8, 8), mean=0.0, std=1.0)
    found = evaluate({("before", 4): (Brightness().eval(), spec)}, DatasetVersion(tmp_path / "d"), np.array([1, 0]))
    assert found["image_id"].tolist() == ["b", "a"]
    assert found["p_covid"].tolist() == pytest.approx([1 / (1 + np.exp(-2)), 0.5])
    assert found["p_rest"].tolist() == pytest.approx([1 / (1 + np.exp(2)), 0.5])
