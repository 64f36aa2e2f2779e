"""Findings from tables with known content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.config import FlagConfig
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.flag.behaviour.evidence import COLUMNS
from pipeline.flag.findings import RegionEvidence, build_findings
from pipeline.flag.profile.association import mark_association

COUNT = 60
CLASSES = ("rest", "covid")
LOGIT = [f"{stem}_{name}" for stem in ("effect", "control_mean") for name in CLASSES]


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetVersion:
    table = pd.DataFrame([dict.fromkeys(IMAGE_COLUMNS)] * COUNT)
    table["image_id"] = [f"id{n:02d}" for n in range(COUNT)]
    table["label"] = [CLASSES[n % 2] for n in range(COUNT)]
    table["patient_id"] = [f"p{n // 2}" for n in range(COUNT)]
    table["split"], table["width"], table["height"] = "train", 4, 4
    with write_version(tmp_path / "v", 4, "uint8") as writer:
        writer.write_shard(0, table, np.zeros((COUNT, 4, 4), np.uint8))
        writer.finish(DatasetMeta("t", "v", "T", CLASSES, "covid", 4, "uint8"), table, 1)
    return DatasetVersion(tmp_path / "v")


def regions(kind: str, numbers: range) -> pd.DataFrame:
    box = {"x0": 0.0, "y0": 0.0, "x1": 1.0, "y1": 1.0}
    return pd.DataFrame({"image_id": [f"id{n:02d}" for n in numbers], "kind": kind, "text": None}).assign(**box)


def effects(kind: str, effect: float, count: int = 40, controls: int = 8) -> pd.DataFrame:
    """Effects on covid of `effect` ± noise against controls of 0.01."""
    noise = 0.02 * np.random.default_rng(len(kind)).standard_normal(count)
    covid = effect + noise if controls >= 8 else np.full(count, np.nan)
    base = 0.01 if controls >= 8 else np.nan
    plan = {"kind_available": count, "kind_looks": 1, "kind_stopped": "all tested", "passes": 10}
    return pd.DataFrame(
        {
            "image_id": [f"id{n:02d}" for n in range(count)],
            "patient_id": [f"p{n // 2}" for n in range(count)],
            "kind": kind,
            "predicted_removed": "rest" if controls >= 8 else None,
            "flip": pd.array([n < 10 if controls >= 8 else None for n in range(count)], dtype="boolean"),
            "effect_covid": covid,
            "control_mean_covid": base,
            "effect_rest": -covid,
            "control_mean_rest": -base,
        }
    ).assign(**plan, **{f"logit_{name}": 0.0 for name in LOGIT})


def found_in(
    dataset: DatasetVersion,
    association: pd.DataFrame,
    saliency: pd.DataFrame,
    effects: pd.DataFrame,
    places: pd.DataFrame | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    places = NO_REGIONS if places is None else places
    return build_findings(
        dataset, RegionEvidence(places, association, saliency, effects, NO_TRANSPLANTS), FlagConfig(), seed
    )


def evidence(kind: str, enrichment: float, count: int = 20) -> pd.DataFrame:
    table = pd.DataFrame({"image_id": [f"id{n:02d}" for n in range(count)], "kind": kind, "method": "igos++"})
    share = enrichment * 0.01 * (1 + 0.1 * np.sin(np.arange(count)))
    table = table.assign(region_id="r", target=1, share=share, area_fraction=0.01, enrichment=share / 0.01)
    return table.astype(COLUMNS)[list(COLUMNS)]


NO_EVIDENCE = evidence("side", 1, 0)
NO_TRANSPLANTS = pd.DataFrame(columns=["kind", "class"])
NO_REGIONS = regions("side", range(0))


def test_only_the_causal_test_confirms(dataset: DatasetVersion) -> None:
    found = found_in(
        dataset,
        mark_association(dataset, pd.concat([regions("side", range(1, 60, 2)), regions("date", range(1, 60, 2))])),
        pd.concat([evidence("side", 4), evidence("arrow", 3), evidence("number", 0.5)]),
        pd.concat([effects("side", 0.21), effects("date", 0.02), effects("number", 0.01), effects("panel", 0.02)]),
    )
    status = {finding["kind"]: finding["status"] for finding in found}
    assert status == {
        "side": "confirmed",
        "date": "suspected",  # tied to covid, but with an effect below min_effect
        "arrow": "suspected",  # salient, never tested
        "number": "not-confirmed",
        "panel": "not-confirmed",  # an effect, smaller than min_effect
    }
    assert [finding["id"] for finding in found] == ["F01", "F02", "F03", "F04", "F05"]
    assert found[0]["kind"] == "side"
    json.dumps(found, allow_nan=False)


def test_numbers_of_a_finding(dataset: DatasetVersion) -> None:
    tested = pd.concat([effects("side", 0.21), effects("side", 0.0, count=3, controls=2)])
    association = mark_association(dataset, regions("side", range(1, 60, 2)))
    (finding,) = found_in(dataset, association, evidence("side", 4), tested)
    assert finding["class"] == "covid"
    assert finding["effect"]["mean"] == pytest.approx(0.21, abs=0.02)
    assert finding["effect"]["control_mean"] == pytest.approx(0.01)
    size = finding["effect"]["excess"]
    assert size["mean"] == pytest.approx(finding["effect"]["mean"] - 0.01)
    assert 0.15 < size["low"] < size["mean"] < size["high"] < 0.25
    assert size["n"] == 40
    assert finding["effect"]["untestable"] == 3
    assert finding["effect"]["flip_rate"]["mean"] == 0.25
    assert finding["effect"]["p"] == pytest.approx(1 / 10_001)  # the least there is
    assert finding["association"]["prevalence"]["covid"]["mean"] == 1
    assert finding["association"]["prevalence"]["rest"]["n"] == 30
    assert finding["saliency"]["igos++"]["enrichment"]["low"] > 3
    assert len(finding["examples"]) == 8
    assert "N = 40" in finding["summary"]


def test_the_class_follows_the_effect(dataset: DatasetVersion) -> None:
    association = mark_association(dataset, NO_REGIONS)
    (finding,) = found_in(dataset, association, NO_EVIDENCE, effects("side", -0.2))
    assert (finding["class"], finding["status"], finding["association"]) == ("rest", "confirmed", None)


def test_noise_in_the_effect_does_not_hide_an_association(dataset: DatasetVersion) -> None:
    association = mark_association(dataset, regions("side", range(1, 60, 2)))  # tied to covid
    (finding,) = found_in(dataset, association, NO_EVIDENCE, effects("side", 0.0))
    assert (finding["class"], finding["status"]) == ("covid", "suspected")
    assert finding["association"]["odds_ratio"]["low"] > 1


def test_a_real_effect_chooses_the_class(dataset: DatasetVersion) -> None:
    association = mark_association(dataset, regions("side", range(0, 60, 2)))  # tied to rest, but read as covid
    (finding,) = found_in(dataset, association, NO_EVIDENCE, effects("side", 0.3))
    assert (finding["class"], finding["status"]) == ("covid", "confirmed")


def test_untestable_marks_are_at_most_suspected(dataset: DatasetVersion) -> None:
    association = mark_association(dataset, regions("side", range(0, 60, 2)))
    (finding,) = found_in(dataset, association, NO_EVIDENCE, effects("side", 1, controls=0))
    assert (finding["class"], finding["status"]) == ("rest", "suspected")
    assert finding["effect"]["q"] is None
    assert finding["effect"]["untestable"] == 40


def test_few_patients_cannot_confirm(dataset: DatasetVersion) -> None:
    association = mark_association(dataset, NO_REGIONS)
    (finding,) = found_in(dataset, association, NO_EVIDENCE, effects("side", 0.5, count=6))
    assert finding["status"] == "not-confirmed"  # 3 patients: p cannot go below 1/8


def test_order_of_the_tables_does_not_matter(dataset: DatasetVersion) -> None:
    association = mark_association(dataset, regions("side", range(1, 60, 2)))
    tables = [
        pd.concat([evidence("side", 4), evidence("date", 2)]),
        pd.concat([effects("side", 0.2), effects("date", 0.05)]),
    ]
    one = found_in(dataset, association, tables[0], tables[1], seed=3)
    other = found_in(dataset, association, *(table.iloc[::-1] for table in tables), seed=3)
    rounded = [json.loads(json.dumps(found), parse_float=lambda text: round(float(text), 9)) for found in (one, other)]
    assert rounded[0] == rounded[1]
