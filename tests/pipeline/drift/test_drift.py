"""Planted changes are found, and where nothing changed about as often as promised nothing is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.config import CompareConfig
from pipeline.drift import SHIFTED, TOO_FEW, UNSHIFTED, Audit, compare_audits, drift_words
from pipeline.drift.audits import Stacked, sampled
from pipeline.drift.estimates import Question, compare_means, ranks
from pipeline.drift.findings import finding_changes
from pipeline.errors import InputError
from pipeline.randomness import numpy_generator
from pipeline.statistics import delong_test

CONFIG = CompareConfig(bootstrap=100)
Population = Callable[..., Audit]
Looks = Callable[..., "pd.Series[str]"]


def grown(then: Audit, more: Audit) -> Audit:
    """`then` with the images of `more` added."""

    def both(name: str) -> pd.DataFrame:
        return pd.concat([getattr(then, name), getattr(more, name)], ignore_index=True)

    tables = {name: both(name) for name in ("images", "regions", "traits", "predictions")}
    return replace(more, looked_at=np.arange(len(tables["images"])), **tables)


def row_of(found: dict[str, Any], about: str, name: str, label: str | None = None) -> dict[str, Any]:
    (row,) = (each for each in found["rows"] if (each["about"], each["name"], each["class"]) == (about, name, label))
    return dict(row)


def shifted(found: dict[str, Any]) -> set[str]:
    return {each["about"] for each in found["rows"] if each["verdict"] == SHIFTED}


@pytest.mark.slow
@pytest.mark.parametrize("grows", [False, True])
def test_without_drift_alarms_are_as_rare_as_promised(population: Population, looks: Looks, grows: bool) -> None:
    """25 pairs of audits of one population: by test p < 0.05 in about 5 %, by family at most about 5 % alarmed."""
    alarmed, small = 0, []
    for seed in range(25):
        then, now = population(2 * seed), population(2 * seed + 1)
        found = compare_audits(then, grown(then, now) if grows else now, looks(then, now), CONFIG, seed)
        alarmed += bool(shifted(found))
        small += [row["p"] < 0.05 for row in found["rows"] if row["verdict"] != TOO_FEW and row["p"] is not None]
    assert 0.02 < np.mean(small) < 0.1
    assert alarmed <= stats.binom.ppf(0.999, 25, 0.1)


def test_an_audit_has_not_drifted_from_itself(population: Population, looks: Looks) -> None:
    audit = population(1)
    found = compare_audits(audit, audit, looks(audit), CONFIG)
    assert {each["verdict"] for each in found["rows"]} <= {UNSHIFTED, TOO_FEW}
    assert {each["difference"]["mean"] for each in found["rows"]} == {0.0}
    assert (found["new"], found["gone"], found["findings"]) == ([], [], [])
    assert found["images"] == {"then": 300, "now": 300, "new": 0, "gone": 0}


def test_more_marks_in_one_class_are_found_there_alone(population: Population, looks: Looks) -> None:
    then, now = population(1, 600), population(2, 600, marked=0.6)
    found = compare_audits(then, now, looks(then, now), CONFIG)
    row = row_of(found, "marks", "side", "opacity")
    assert row["verdict"] == SHIFTED
    assert row["difference"]["mean"] == pytest.approx(0.4, abs=0.1)
    assert row["difference"]["low"] > 0.2
    assert row_of(found, "text", "side “R”", "opacity")["verdict"] == SHIFTED
    assert row_of(found, "marks", "side", "clear")["verdict"] == UNSHIFTED
    assert shifted(found) == {"marks", "text", "look-alikes"}


def test_a_change_among_few_new_images_of_many_is_found(population: Population, looks: Looks) -> None:
    """Unchanged images add nothing to the uncertainty: 100 new ones among 1,000 known."""
    then, more = population(1, 1000), population(2, 100, marked=0.8)
    row = row_of(compare_audits(then, grown(then, more), looks(then, more), CONFIG), "marks", "side", "opacity")
    assert row["verdict"] == SHIFTED
    assert row["new_images"]["mean"] > 0.6
    assert row["difference"]["mean"] < 0.1


def test_a_shift_of_scores_and_a_trait_are_found(population: Population, looks: Looks) -> None:
    then, now = population(1, 600), population(2, 600, shift=1.0, darker=0.1)
    found = compare_audits(then, now, looks(then, now), CONFIG)
    assert {"score", "trait"} <= shifted(found)
    assert row_of(found, "score", "score", "clear")["difference"]["low"] > 0.1
    assert row_of(found, "trait", "exposure", "clear")["difference"]["high"] < -0.1


def test_a_new_source_and_a_new_look_are_named(population: Population, looks: Looks) -> None:
    then, now = population(1), population(2, new_source=0.2, look="side-9")
    found = compare_audits(then, now, looks(then, now), CONFIG)
    source, look = found["new"]
    assert (source["about"], source["name"]) == ("source", "c")
    assert (look["about"], look["name"]) == ("look-alikes", "side-9")
    assert look["n"] == now.regions["image_id"].nunique()
    assert set(look["examples"]) <= set(now.regions["region_id"])
    assert [each["name"] for each in found["gone"]] == ["side-1"]
    assert row_of(found, "source", "c")["verdict"] == SHIFTED
    said = drift_words({**found, "baseline": {"run": "r", "kind": "accepted", "by": "ann"}})
    assert any(sentence.startswith("New source: c") for sentence in said)
    assert said[0].startswith("Compared with the accepted audit r (accepted by ann): 300 images then, 300 now")


def test_a_worse_classifier_is_found_and_pairing_narrows_the_interval(population: Population, looks: Looks) -> None:
    then = population(1, 600, skill=2.5)
    worse = replace(population(1, 600, skill=1.0), images=then.images)
    apart = compare_audits(then, population(2, 600, skill=1.0), looks(then), CONFIG)
    paired = compare_audits(then, worse, looks(then), CONFIG)
    width = {}
    for name, found in (("apart", apart), ("paired", paired)):
        row = row_of(found, "metric", "auroc", "opacity")
        assert row["verdict"] == SHIFTED
        assert row["difference"]["high"] < 0
        width[name] = row["difference"]["high"] - row["difference"]["low"]
    assert width["paired"] < width["apart"]
    assert row_of(paired, "metric", "auroc", "opacity")["shared"] > 200


def test_few_patients_are_too_few_to_say(population: Population, looks: Looks) -> None:
    then, now = population(1, 16), population(2, 16, marked=1.0, shift=5)
    found = compare_audits(then, now, looks(then, now), CONFIG)
    assert {each["verdict"] for each in found["rows"]} == {TOO_FEW}


def test_other_classes_cannot_be_compared(population: Population, looks: Looks) -> None:
    audit = population(1)
    with pytest.raises(InputError, match="same classes"):
        compare_audits(audit, replace(audit, positive="clear"), looks(audit), CONFIG)


def independent(then: np.ndarray, now: np.ndarray) -> tuple[Stacked, Question]:
    ids = [f"i{number}" for number in range(len(then) + len(now))]
    table = pd.DataFrame({"image_id": ids, "patient_id": ids})
    stacked = Stacked.of(table.iloc[: len(then)], table.iloc[len(then) :])
    return stacked, Question({}, np.arange(len(ids)), np.concatenate([then, now]).astype(float))


def test_shares_of_single_images_are_tested_by_squares_about_the_common_share() -> None:
    """By hand from the four groups of images; close to the pooled z test, which takes both variances for equal."""
    stacked, question = independent(np.repeat([1, 0], [60, 340]), np.repeat([1, 0], [70, 230]))
    (row,) = compare_means(stacked, [question], CONFIG, numpy_generator(0))
    pooled, difference = 130 / 700, 70 / 300 - 60 / 400
    groups = ((60, (1 - pooled) / 400), (340, pooled / 400), (70, (1 - pooled) / 300), (230, pooled / 300))
    squares, fourths = (sum(count * each**power for count, each in groups) for power in (2, 4))
    freedom = squares**2 / fourths - 1
    assert row["p"] == pytest.approx(2 * stats.t.sf(difference / np.sqrt(squares), freedom))
    z = difference / np.sqrt(pooled * (1 - pooled) * (1 / 400 + 1 / 300))
    assert row["p"] == pytest.approx(2 * stats.norm.sf(z), rel=0.5)


def test_mean_ranks_differ_by_the_area_under_the_curve() -> None:
    rng = np.random.default_rng(0)
    then, now = rng.normal(0, 1, 80), rng.normal(0.5, 1, 120)
    values = np.concatenate([then, now])
    stacked, question = independent(then, now)
    (row,) = compare_means(stacked, [replace(question, values=ranks(values))], CONFIG, numpy_generator(0))
    later = np.arange(200) >= 80
    area = 0.5 + delong_test(values, np.zeros(200), later)[0]
    assert row["difference"]["mean"] == pytest.approx(area - 0.5)
    assert row["p"] == pytest.approx(stats.mannwhitneyu(now, then).pvalue, rel=0.5)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("copies", [1, 3])
def test_a_few_new_patients_without_a_rare_mark_are_no_drift(known: bool, copies: int) -> None:
    """20 patients without what a tenth of 1,000 bears: every eighth draw is like that."""
    patients = [*range(1000), *(range(1020) if known else range(1000, 1020))]
    table = pd.DataFrame({"patient_id": [f"p{number}" for number in patients], "part": 0})
    table["value"] = [float(number < 100) for number in patients]
    table = pd.concat([table.assign(part=part) for part in range(copies)])
    table["image_id"] = table["patient_id"] + table["part"].astype(str)
    first = np.tile(np.arange(len(patients)) < 1000, copies)
    stacked = Stacked.of(table[first], table[~first])
    question = Question({}, np.arange(len(table)), stacked.images["value"].to_numpy())
    (row,) = compare_means(stacked, [question], CONFIG, numpy_generator(0))
    z = 0.1 / np.sqrt(100 / 1020 * 920 / 1020 * (1 / 1000 + 1 / 20))
    assert row["p"] == pytest.approx(2 * stats.norm.sf(z), rel=0.15)
    assert row["difference"]["low"] < 0 < row["difference"]["high"]


def test_images_of_one_patient_count_once() -> None:
    """Every image five times, as five images of its patient: means stay, and so does p."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"patient_id": [f"p{n}" for n in range(100)], "value": rng.integers(0, 2, 100)})
    found = []
    for times in (1, 5):
        many = pd.concat([table] * times, ignore_index=True)
        many["image_id"] = [f"i{n}" for n in range(len(many))]
        first = many["patient_id"].isin(table["patient_id"][:40])
        stacked = Stacked.of(many[first], many[~first])
        question = Question({}, np.arange(len(many)), stacked.images["value"].to_numpy(dtype=float))
        found.append(compare_means(stacked, [question], CONFIG, numpy_generator(0))[0])
    assert found[0]["p"] == pytest.approx(found[1]["p"])
    assert found[0]["difference"]["mean"] == pytest.approx(found[1]["difference"]["mean"])


def test_a_balanced_sample_speaks_for_its_data_set(population: Population) -> None:
    audit = population(1)
    rare = np.flatnonzero(audit.images["label"] == "clear")[:10]
    seen = replace(audit, looked_at=np.sort([*rare, *np.flatnonzero(audit.images["label"] == "opacity")]))
    strata = audit.images.iloc[seen.looked_at][["split", "label", "source"]].drop_duplicates()
    reached = audit.images.merge(strata, on=["split", "label", "source"])
    assert sampled(seen)["weight"].sum() == pytest.approx(len(reached))


def test_findings_that_came_went_and_were_confirmed() -> None:
    def findings(**statuses: str) -> list[dict[str, str]]:
        return [{"id": f"F-{kind}", "kind": kind, "class": "x", "status": status} for kind, status in statuses.items()]

    then = findings(a="suspected", b="confirmed", c="suspected", d="not-confirmed", e="confirmed")
    now = findings(a="confirmed", b="suspected", d="suspected", e="confirmed", f="confirmed")
    assert {row["kind"]: row["change"] for row in finding_changes(then, now)} == {
        "a": "newly confirmed",
        "b": "no longer confirmed",
        "c": "gone",
        "d": "new",
        "f": "newly confirmed",
    }
